#include "vmm/config/check_text.h"

#include <string>

#include "vmm/text.h"

namespace vmm::config {
uvm::Status check_text(std::string_view what, std::string_view text, std::size_t limit) {
  if (text.size() > limit) {
    return invalid(std::string(what) + " has " + std::to_string(text.size()) + " bytes, " +
                   std::to_string(limit) + " are possible");
  }
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte < 0x20 || byte == 0x7f) {
      return invalid(std::string(what) + " holds a control character (" + one_line(text.substr(at, 1)) +
                     ") at byte " + std::to_string(at));
    }
  }
  return uvm::ok();
}

}  // namespace vmm::config

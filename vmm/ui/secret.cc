#include "vmm/ui/secret.h"

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <cstdint>

namespace vmm::ui {

uvm::Result<std::string> make_secret() {
  std::array<std::uint8_t, 16> random{};
  if (::getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size())) {
    return uvm::Error::from_errno(errno, "getrandom for a page");
  }
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : random) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace vmm::ui

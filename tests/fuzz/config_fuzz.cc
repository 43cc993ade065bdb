// The JSON configuration: whatever the bytes, an error of one line or a configuration that prints and reads
// back the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "vmm/config/config_json.h"
#include "vmm/config/validate.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = vmm::config::merge_json({}, text);
  if (!config) {
    require(!config.error().what().empty());
    require(config.error().text().find('\n') == std::string::npos);
    return 0;
  }
  const auto verdict = vmm::config::validate(*config);
  if (!verdict) require(verdict.error().text().size() > 0);
  const std::string printed = vmm::config::to_json(*config);
  const auto again = vmm::config::merge_json({}, printed);
  require(again.has_value());
  require(vmm::config::to_json(*again) == printed);
  return 0;
}

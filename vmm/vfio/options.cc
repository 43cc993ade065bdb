#include "vmm/vfio/options.h"

#include <array>
#include <charconv>
#include <utility>

#include "vmm/text.h"

namespace vmm::vfio {
namespace {

constexpr std::string_view kPci = "pci:";
constexpr std::string_view kGroup = "/dev/vfio/";
constexpr std::string_view kFork = "fork=";

constexpr std::array<std::pair<std::string_view, uvm::ForkPolicy>, 3> kForks = {{
    {"refuse", uvm::ForkPolicy::Refuse},
    {"quiesce", uvm::ForkPolicy::Quiesce},
    {"copy", uvm::ForkPolicy::Copy},
}};

uvm::Result<GroupNumber> parse_group(std::string_view text) {
  GroupNumber group;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), group.number);
  if (error != std::errc() || stop != text.data() + text.size()) {
    return not_possible(text, "a group is a number: /dev/vfio/12");
  }
  return group;
}

uvm::Result<uvm::ForkPolicy> parse_fork(std::string_view text) {
  for (const auto& [name, policy] : kForks) {
    if (name == text) return policy;
  }
  return not_possible(text, "fork= takes refuse, quiesce or copy");
}

}  // namespace

uvm::Result<DeviceOptions> parse_device(std::string_view text) {
  DeviceOptions options;
  const std::size_t comma = text.find(',');
  const std::string_view place = text.substr(0, comma);
  if (place.starts_with(kPci)) {
    UVMM_TRY(options.device, parse_pci_address(place.substr(kPci.size())));
  } else if (place.starts_with(kGroup)) {
    UVMM_TRY(options.device, parse_group(place.substr(kGroup.size())));
  } else {
    return not_possible(text, "name a device as pci:0000:3b:00.0 or by its group, /dev/vfio/12");
  }
  if (comma == std::string_view::npos) return options;
  const std::string_view more = text.substr(comma + 1);
  if (!more.starts_with(kFork))
    return not_possible(more, "the only thing to add is fork=refuse, quiesce or copy");
  UVMM_TRY(options.fork, parse_fork(more.substr(kFork.size())));
  return options;
}

std::string to_string(const DeviceOptions& options) {
  std::string text;
  if (const auto* address = std::get_if<PciAddress>(&options.device)) {
    text = std::string(kPci) + to_string(*address);
  } else {
    text = std::string(kGroup) + std::to_string(std::get<GroupNumber>(options.device).number);
  }
  if (options.fork == DeviceOptions{}.fork) return text;
  for (const auto& [name, policy] : kForks) {
    if (policy == options.fork) text += "," + std::string(kFork) + std::string(name);
  }
  return text;
}

}  // namespace vmm::vfio

#include "vmm/machine/balloon_json.h"

#include <optional>
#include <string_view>
#include <utility>

namespace vmm {

std::string balloon_json(const virtio::balloon::Statistics& seen) {
  std::string text;
  const auto add = [&text](std::string_view name, std::optional<std::uint64_t> value) {
    if (!value) return;
    text += (text.empty() ? "\"" : ", \"") + std::string(name) + "\": " + std::to_string(*value);
  };
  const virtio::balloon::GuestStatistics& guest = seen.guest;
  add("target_pages", seen.target >> 12U);
  add("actual_pages", seen.actual >> 12U);
  add("target_mib", seen.target >> 20U);
  add("actual_mib", seen.actual >> 20U);
  add("given_back", seen.given_back);
  add("kept", seen.kept);
  add("swap_in", guest.swap_in);
  add("swap_out", guest.swap_out);
  add("major_faults", guest.major_faults);
  add("minor_faults", guest.minor_faults);
  add("free_memory", guest.free_memory);
  add("total_memory", guest.total_memory);
  add("available_memory", guest.available_memory);
  add("disk_caches", guest.disk_caches);
  add("hugetlb_allocations", guest.hugetlb_allocations);
  add("hugetlb_failures", guest.hugetlb_failures);
  return text;
}

}  // namespace vmm

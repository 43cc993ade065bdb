#include "vmm/virtio/balloon/statistics.h"

#include <array>

#include "vmm/devices/registers.h"

namespace vmm::virtio::balloon {
namespace {

using Value = std::optional<std::uint64_t> GuestStatistics::*;

/// By their tags, from 0 on.
constexpr std::array<Value, 10> kByTag{
    &GuestStatistics::swap_in,          &GuestStatistics::swap_out,    &GuestStatistics::major_faults,
    &GuestStatistics::minor_faults,     &GuestStatistics::free_memory, &GuestStatistics::total_memory,
    &GuestStatistics::available_memory, &GuestStatistics::disk_caches, &GuestStatistics::hugetlb_allocations,
    &GuestStatistics::hugetlb_failures};

}  // namespace

GuestStatistics parse_statistics(std::span<const std::byte> report) {
  GuestStatistics told;
  for (; report.size() >= kStatisticBytes; report = report.subspan(kStatisticBytes)) {
    const std::uint64_t tag = devices::load_le(report.first(2));
    if (tag < kByTag.size()) told.*kByTag.at(tag) = devices::load_le(report.subspan(2, 8));
  }
  return told;
}

}  // namespace vmm::virtio::balloon

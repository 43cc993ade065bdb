// What a guest tells of its memory (virtio 1.2, 5.5.6.4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace vmm::virtio::balloon {

/// In bytes, but for the counts of faults and allocations. What a guest does not tell is not there.
struct GuestStatistics {
  std::optional<std::uint64_t> swap_in;
  std::optional<std::uint64_t> swap_out;
  std::optional<std::uint64_t> major_faults;
  std::optional<std::uint64_t> minor_faults;
  std::optional<std::uint64_t> free_memory;
  std::optional<std::uint64_t> total_memory;
  std::optional<std::uint64_t> available_memory;
  std::optional<std::uint64_t> disk_caches;
  std::optional<std::uint64_t> hugetlb_allocations;
  std::optional<std::uint64_t> hugetlb_failures;

  friend bool operator==(const GuestStatistics&, const GuestStatistics&) = default;
};

/// One value of a report: le16 tag, le64 value.
inline constexpr std::size_t kStatisticBytes = 10;
/// As much of a report as is looked at: several times what there are tags for.
inline constexpr std::size_t kMostStatistics = 64;

/// The driver's words, whatever they are: tags that are not known, and a value that is cut off, mean nothing.
[[nodiscard]] GuestStatistics parse_statistics(std::span<const std::byte> report);

}  // namespace vmm::virtio::balloon

#include "vmm/machine/exit_counts.h"

namespace vmm {

std::array<std::uint64_t, ExitCounts::kReasons> ExitCounts::sums() const {
  std::array<std::uint64_t, kReasons> sums{};
  for (const Counters& vcpu : of_) {
    for (std::size_t i = 0; i < kReasons; ++i) sums[i] += vcpu.reasons[i].load(std::memory_order_relaxed);
  }
  return sums;
}

std::string_view ExitCounts::name(std::size_t reason) {
  constexpr std::array<std::string_view, kReasons> kNames = {
      "io",         "mmio",         "hlt",   "shutdown",     "internal_error",  "fail_entry",
      "ioapic_eoi", "system_event", "debug", "memory_fault", "dirty_ring_full", "interrupted",
      "unknown"};
  return kNames[reason];
}

}  // namespace vmm

// How often vCPUs left the guest, and why.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <variant>

#include "vmm/kvm/exit.h"
#include "vmm/machine/config.h"

namespace vmm {

/// Counted by each vCPU's thread for itself, without a bus lock; read by any.
class ExitCounts {
 public:
  static constexpr std::size_t kReasons = std::variant_size_v<kvm::Exit>;

  void count(std::uint32_t vcpu, const kvm::Exit& exit) {
    auto& counter = of_[vcpu].reasons[exit.index()];
    counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  /// Of all vCPUs, in the order of kvm::Exit's alternatives.
  [[nodiscard]] std::array<std::uint64_t, kReasons> sums() const;
  /// "io", "mmio", …
  [[nodiscard]] static std::string_view name(std::size_t reason);

 private:
  struct alignas(64) Counters {
    std::array<std::atomic<std::uint64_t>, kReasons> reasons{};
  };
  std::array<Counters, kMaxVcpus> of_;
};

}  // namespace vmm

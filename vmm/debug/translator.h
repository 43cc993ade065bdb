// Linear to physical for a stopped machine: the walk with a memory, and with somewhere else to look.
//
// Under page-table isolation a processor stopped at CPL 3 has tables without the kernel in them, so a symbol
// of the kernel is looked up in turn through: the tables of the vCPU asked about; the same with bit 12 of CR3
// clear (Linux keeps the kernel's half 4 KiB below the user's); those of the other vCPUs; the last tables
// seen at CPL 0. Only for the upper half: nobody wants another process's address by accident.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/debug/page_walk.h"
#include "vmm/debug/physical_memory.h"

namespace vmm::debug {

/// Thread: one at a time.
class Translator {
 public:
  explicit Translator(PhysicalMemory& memory) : memory_(memory) {}

  /// `state` of the vCPU that is asked about, `others` CR3s of the rest. Errors: as walk(), of the first
  /// tables tried.
  [[nodiscard]] uvm::Result<Translation> translate(const PagingState& state,
                                                   std::span<const std::uint64_t> others,
                                                   std::uint64_t linear);
  /// Through these tables only, past the cache.
  [[nodiscard]] uvm::Result<Translation> translate_exactly(const PagingState& state, std::uint64_t linear);

  /// Words of physical memory, as walk() wants them.
  [[nodiscard]] ReadPhysical reader();

  /// Uses this CR3 for all, or each vCPU's own.
  void override_cr3(std::optional<std::uint64_t> cr3);
  [[nodiscard]] std::optional<std::uint64_t> cr3_override() const { return override_; }
  /// Tells the tables of a vCPU that is at CPL 0.
  void seen_in_kernel(std::uint64_t cr3) { last_kernel_cr3_ = cr3; }
  /// The guest has run, or memory was written: nothing that was found before counts.
  void forget() { cache_.fill({}); }

 private:
  struct Cached {
    bool valid = false;
    PagingState state;
    std::uint64_t page = 0;   // of the linear address
    Translation translation;  // of the page's first byte
  };

  PhysicalMemory& memory_;
  std::array<Cached, 64> cache_{};
  std::optional<std::uint64_t> override_;
  std::optional<std::uint64_t> last_kernel_cr3_;
};

}  // namespace vmm::debug

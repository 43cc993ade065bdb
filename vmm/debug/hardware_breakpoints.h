// Who has which of the four debug registers.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/debug/vcpu_plan.h"

namespace vmm::debug {

/// What a debugger asked for. Any length and alignment for the watching kinds, as far as registers go.
struct HardwareRequest {
  WatchKind kind = WatchKind::Execute;
  std::uint64_t address = 0;  // linear
  std::uint64_t length = 1;   // bytes
  friend auto operator<=>(const HardwareRequest&, const HardwareRequest&) = default;
};

/// The fewest aligned pieces of 8, 4, 2 or 1 bytes that cover a range.
[[nodiscard]] std::vector<DebugRegister> split_watch(const HardwareRequest& request);

/// Thread: the debugger's.
class HardwareBreakpoints {
 public:
  /// All pieces or none. Again for the same is fine. Errors: NoMemory with the count when registers run out.
  [[nodiscard]] uvm::Status insert(const HardwareRequest& request);
  void remove(const HardwareRequest& request);
  void clear() { requests_.clear(); }
  [[nodiscard]] bool holds(const HardwareRequest& request) const { return requests_.contains(request); }
  [[nodiscard]] DebugRegisters registers() const;
  /// How many of the processor's are not in use.
  [[nodiscard]] std::size_t free() const;

 private:
  std::map<HardwareRequest, std::vector<DebugRegister>> requests_;
};

}  // namespace vmm::debug

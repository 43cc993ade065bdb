// Internal to the probe: a throw-away VM that executes a few bytes and shows how they ended.
#pragma once

#include <linux/kvm.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/kvm/exit.h"
#include "vmm/kvm/memslot.h"
#include "vmm/kvm/system.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/kvm/vm.h"

namespace vmm::kvm {

enum class Ring { Supervisor, User };

/// 64 KiB of memory at GPA 0, the first 2 MiB mapped one to one for both rings in long mode, no IDT, no
/// irqchip. Each execution has a vCPU of its own, so that a triple fault leaves nothing behind. Thread: the
/// one that created it; a timer of that thread bounds every execution.
class TrialVm {
 public:
  static constexpr std::uint32_t kCode = 0x8000;       // where the bytes are put
  static constexpr std::uint32_t kData = 0x9000;       // a page to use
  static constexpr std::uint32_t kForbidden = 0xb000;  // a page whose host memory is PROT_NONE
  static constexpr std::uint32_t kDevice = 0x10'0000;  // no memory: an access leaves as MmioExit

  static uvm::Result<std::unique_ptr<TrialVm>> create(const System& system);
  ~TrialVm();
  TrialVm(const TrialVm&) = delete;
  TrialVm& operator=(const TrialVm&) = delete;

  /// Runs `code` until its first exit; IntrExit means it was still running after a second. The result's spans
  /// are good until the next call.
  uvm::Result<Exit> execute(Ring ring, std::span<const std::uint8_t> code,
                            const kvm_guest_debug* debug = nullptr);
  /// A vCPU for ioctls on it; good until the next call of either.
  uvm::Result<Vcpu*> fresh_vcpu(Ring ring);

  [[nodiscard]] const Vm& vm() const { return vm_; }

 private:
  TrialVm(Vm vm, std::vector<kvm_cpuid_entry2> cpuid) : vm_(std::move(vm)), cpuid_(std::move(cpuid)) {}
  uvm::Status build();

  Vm vm_;
  std::vector<kvm_cpuid_entry2> cpuid_;
  std::byte* memory_ = nullptr;
  std::optional<MemSlot> slot_;
  std::unique_ptr<Vcpu> vcpu_;
  std::uint32_t next_id_ = 0;
};

}  // namespace vmm::kvm

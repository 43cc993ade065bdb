// One virtual processor: its run page, its registers, and how another thread makes it stop.
#pragma once

#include <linux/kvm.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/base/range.h"
#include "vmm/kvm/exit.h"
#include "vmm/kvm/fd.h"

namespace vmm::kvm {

/// Installs the empty handler of the kick signal, once a process; without SA_RESTART, so that a vCPU thread's
/// other blocking calls end with EINTR too. Must run before the first Vcpu::run(). Idempotent, any thread.
uvm::Status install_kick_handler();
/// The signal kick() sends: SIGURG. Leave it unblocked in vCPU threads.
[[nodiscard]] int kick_signal();

/// An XSAVE area as the kernel copies it: at least 4096 bytes, in 4-byte words.
using XsaveArea = std::vector<std::uint32_t>;

/// Thread: everything belongs to the thread that calls run() (KVM ties a vCPU to it through preemption
/// notifiers and PVM's native context), except kick(). Other threads kick, wait until run() has returned, and
/// leave the access to the owner or take over with the owner parked.
/// Lifetime: destroy before the Vm.
class Vcpu {
 public:
  ~Vcpu();
  Vcpu(const Vcpu&) = delete;
  Vcpu& operator=(const Vcpu&) = delete;

  /// Enters the guest until something needs user space. A signal or a kick comes back as IntrExit (and takes
  /// the pending kick with it); EAGAIN (a vCPU that waits for its SIPI) is retried inside. The spans in the
  /// result point into the run page and die with the next run().
  /// Errors: System for any other errno; never for something the guest did.
  uvm::Result<Exit> run();
  /// Ends a half-done IN, OUT or MMIO (KVM finishes it on the next entry) without running the guest: needed
  /// before registers are saved. IntrExit: all is done. Anything else is the next part of the same access (a
  /// 16-byte store is two MMIO exits): handle it and call again. A pending kick stays pending.
  uvm::Result<Exit> complete_pending();

  /// Makes the current or the next run() return IntrExit. Any thread, async-signal-safe, never blocks.
  void kick();

  /// From the run page where KVM_CAP_SYNC_REGS lets us (an ioctl costs 8–12 µs on PVM), else by ioctl.
  uvm::Result<kvm_regs> regs();
  uvm::Status set_regs(const kvm_regs& regs);
  uvm::Result<kvm_sregs> sregs();
  uvm::Status set_sregs(const kvm_sregs& sregs);

  uvm::Status set_cpuid(std::span<const kvm_cpuid_entry2> entries);
  [[nodiscard]] uvm::Result<std::vector<kvm_cpuid_entry2>> cpuid() const;
  /// Reads `msrs[i].data` for each `msrs[i].index`. The error names the first MSR the kernel refused.
  uvm::Status msrs(std::span<kvm_msr_entry> msrs) const;
  uvm::Status set_msrs(std::span<const kvm_msr_entry> msrs);

  [[nodiscard]] uvm::Result<kvm_fpu> fpu() const;
  uvm::Status set_fpu(const kvm_fpu& fpu);
  [[nodiscard]] uvm::Result<kvm_lapic_state> lapic() const;
  uvm::Status set_lapic(const kvm_lapic_state& lapic);
  [[nodiscard]] uvm::Result<kvm_mp_state> mp_state() const;
  uvm::Status set_mp_state(const kvm_mp_state& state);
  [[nodiscard]] uvm::Result<kvm_vcpu_events> events() const;
  uvm::Status set_events(const kvm_vcpu_events& events);
  [[nodiscard]] uvm::Result<XsaveArea> xsave() const;
  uvm::Status set_xsave(const XsaveArea& area);
  [[nodiscard]] uvm::Result<kvm_xcrs> xcrs() const;
  uvm::Status set_xcrs(const kvm_xcrs& xcrs);
  [[nodiscard]] uvm::Result<kvm_debugregs> debug_regs() const;
  uvm::Status set_debug_regs(const kvm_debugregs& regs);
  /// Asks for debug exits. Success says nothing: PVM accepts all and honours little, see probe.h.
  uvm::Status set_guest_debug(const kvm_guest_debug& debug);
  /// The guest's own page tables: linear -> physical, for the current CR3.
  [[nodiscard]] uvm::Result<kvm_translation> translate(std::uint64_t linear) const;
  /// Maps what the host can map of `range` (GPA, page-aligned) into stage 2 now, for reading, so that the
  /// guest need not fault page by page. Errors: Unsupported (before Linux 6.11, or without nested paging),
  /// others as the kernel says; what was mapped by then stays.
  uvm::Status pre_fault(uvm::GpaRange range);
  uvm::Status inject_nmi();
  /// Lets the guest know, through its kvmclock, that it stood still: its watchdogs don't count that time. A
  /// guest without kvmclock (EINVAL), and a host without the call, have nothing to be told. The vCPU is not
  /// in the guest.
  void tell_stood_still();
  /// Delivers `vector` without an in-kernel irqchip (KVM_INTERRUPT).
  uvm::Status inject_interrupt(std::uint32_t vector);
  [[nodiscard]] uvm::Result<std::uint64_t> tsc_khz() const;

  [[nodiscard]] std::uint32_t id() const { return id_; }
  [[nodiscard]] kvm_run& run_page() { return *page_; }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  friend class Vm;
  static uvm::Result<std::unique_ptr<Vcpu>> create(Fd fd, std::uint32_t id, std::size_t page_bytes,
                                                   int sync_capability, int xsave_capability);
  Vcpu(Fd fd, std::uint32_t id, kvm_run* page, std::size_t page_bytes);
  uvm::Result<Exit> enter();
  void set_immediate_exit(std::uint8_t value);
  /// Hands registers that wait in the run page to the kernel now, for calls that look at them.
  uvm::Status flush_regs();
  [[nodiscard]] uvm::Error error(const char* name) const;
  template <class T>
  [[nodiscard]] uvm::Result<T> get(unsigned long request, const char* name) const;
  template <class T>
  uvm::Status set(unsigned long request, const T& value, const char* name);

  Fd fd_;
  const std::uint32_t id_;
  kvm_run* page_;
  const std::size_t page_bytes_;
  std::size_t xsave_bytes_ = 4096;  // or what KVM_CAP_XSAVE2 says
  bool sync_regs_ = false;          // the kernel copies general registers to the run page at each exit
  bool regs_in_page_ = false;       // that copy is current
  std::atomic<bool> kicked_{false};
  std::atomic<int> owner_{0};  // kernel thread id of the thread in run(), 0 before the first
};

}  // namespace vmm::kvm

// All-stop run control: who may run, who steps, and which exit of a vCPU is the debugger's.
//
// It stands between the vCPU threads and the machine's own exit handler. While no debugger is attached it
// costs a test of one flag an exit. While one is, it takes the exits that a trap byte, a debug register or a
// step led to; everything else goes on to the machine, and what a step finished there is reported as a step.
//
// Phases. Free → (halt) → Stopped → (resume) → Running → Stopping → Stopped …; Ended from anywhere. The first
// vCPU that has something to tell moves Running to Stopping and begins a pause; the last one that parks moves
// Stopping to Stopped and tells the sink. What other vCPUs meet on their way to the pause is dropped: one
// that sits on a trap byte keeps its RIP there and meets it again, unless the breakpoint has gone by then.
// Nothing is queued, so nothing stale can be told.
//
// Whoever holds the machine stopped owns one pause of the group, taken in Stopping and given back by resume()
// or release().
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/base/lock.h"
#include "vmm/debug/step_guard.h"
#include "vmm/debug/trap.h"
#include "vmm/debug/vcpu_plan.h"
#include "vmm/gdb/target.h"
#include "vmm/machine/vcpu_group.h"

namespace vmm::debug {

/// Whether a trap byte of the debugger's lies at a linear address, as this vCPU translates it. Called on vCPU
/// threads, for what may be a hit only.
class TrapFinder {
 public:
  virtual ~TrapFinder() = default;
  [[nodiscard]] virtual bool is_planted(kvm::Vcpu& vcpu, std::uint64_t linear) = 0;
  /// Quick no: whether any trap has this offset in its page.
  [[nodiscard]] virtual bool may_be_planted(std::uint64_t linear) const = 0;
};

/// Where the next instruction is, in linear addresses.
[[nodiscard]] uvm::Result<std::uint64_t> linear_pc(kvm::Vcpu& vcpu);

/// Thread: ExitHandler's calls on the vCPU threads, interrupt() and ended() anywhere, the rest on the
/// debugger's thread.
class RunControl : public ExitHandler {
 public:
  using Sink = std::function<void(const gdb::StopEvent&)>;

  /// Everything outlives it.
  RunControl(ExitHandler& machine, TrapFinder& finder, LinearMemory& memory)
      : machine_(machine), finder_(finder), memory_(memory) {}
  void set_group(VcpuGroup& group);
  /// Whose events these are (gdb::ThreadId). Before anything runs.
  void set_pid(std::uint32_t pid) { pid_ = pid; }

  /// Any phase → Stopped. Waits until the last vCPU has parked; Busy when one takes longer than seconds, and
  /// then everything runs as before.
  [[nodiscard]] uvm::Status halt() EXCLUDES(mutex_);
  /// Stopped → Free: guest debug off, and the vCPUs run, or stay paused for the next halt().
  void release(gdb::AfterDetach after) EXCLUDES(mutex_);
  /// Before the vCPU threads start: they will wait for the first release().
  void start_paused() EXCLUDES(mutex_);

  /// Stopped: what can be used, and who is told. A null sink ends telling; on return nobody is inside it.
  void set_support(const kvm::DebugSupport& support);
  void set_sink(Sink sink) EXCLUDES(mutex_);
  void set_step_flags(gdb::StepFlags flags) { step_flags_ = flags; }
  /// Stopped: from the next resume() on, on every vCPU.
  void set_debug_registers(const DebugRegisters& registers) { registers_ = registers; }
  void set_traps_planted(bool planted) { traps_planted_ = planted; }

  /// Stopped → Running. `plans`: one a vCPU. Errors: Invalid (the machine has ended, nobody moves),
  /// Unsupported (this host can't step there); all stays stopped.
  [[nodiscard]] uvm::Status resume(std::span<const VcpuPlan> plans) EXCLUDES(mutex_);
  /// Running: stops soon. Otherwise nothing.
  void interrupt() EXCLUDES(mutex_);
  /// The machine has ended, its vCPU threads too: told once, and nothing runs any more.
  void machine_ended(int status) EXCLUDES(mutex_);
  [[nodiscard]] bool has_ended() const EXCLUDES(mutex_);

  [[nodiscard]] Next handle(kvm::Vcpu& vcpu, kvm::Exit& exit) override;
  void failed(const kvm::Vcpu& vcpu, const uvm::Error& error) override { machine_.failed(vcpu, error); }
  void ended() override { machine_.ended(); }
  [[nodiscard]] Next parking(kvm::Vcpu& vcpu) override;
  void all_parked() override;

 private:
  enum class Phase : std::uint8_t { Free, Stopped, Running, Stopping, Ended };
  /// What one vCPU thread needs; written by others only while that thread is parked.
  struct PerVcpu {
    VcpuPlan plan;
    kvm_guest_debug applied{};    // what KVM was told last
    bool access_pending = false;  // an I/O or MMIO exit that the next entry finishes
    StepGuard guard;
  };

  Next machine_handles(kvm::Vcpu& vcpu, kvm::Exit& exit);
  Next debug_exit(kvm::Vcpu& vcpu, const kvm::DebugExit& exit);
  Next breakpoint(kvm::Vcpu& vcpu, std::uint64_t linear);
  [[nodiscard]] bool is_int3_error(const kvm::Exit& exit) const;
  /// Whether an OUT was a trap of ours; if so it is finished and RIP is back on it.
  [[nodiscard]] bool took_out_trap(kvm::Vcpu& vcpu, const kvm::IoExit& io);
  Next hardware_hit(const kvm::Vcpu& vcpu, std::uint64_t dr6);
  Next step_done(kvm::Vcpu& vcpu);
  Next reflect(kvm::Vcpu& vcpu, std::uint32_t flag);
  /// Finishes a half-done access without running the guest; its further parts go to the machine.
  Next finish_access(kvm::Vcpu& vcpu);

  void report(const gdb::StopEvent& event) EXCLUDES(mutex_);
  /// A stop without an event is one that nobody is told of.
  void begin_stop_locked(std::optional<gdb::StopEvent> event) REQUIRES(mutex_);
  /// Stopping → Stopped when everybody has parked.
  [[nodiscard]] bool finish_stop_locked() REQUIRES(mutex_);
  /// Marks the delivery of event_ as begun, so that set_sink() waits for it. Empty: nobody to tell.
  [[nodiscard]] Sink take_sink_locked() REQUIRES(mutex_);
  void deliver(const Sink& sink, const gdb::StopEvent& event) EXCLUDES(mutex_);
  [[nodiscard]] uvm::Status can_step(const kvm::Vcpu& vcpu, const kvm_sregs& sregs) const;
  [[nodiscard]] kvm_guest_debug debug_for(const VcpuPlan& plan) const;
  [[nodiscard]] uvm::Status apply(kvm::Vcpu& vcpu, const kvm_guest_debug& debug);
  /// Before each step: whether it is possible, and what has to be known of it afterwards.
  [[nodiscard]] uvm::Status guard_step(kvm::Vcpu& vcpu, const VcpuPlan& plan);
  /// Ends what guard_step() began; harmless when it did not.
  void settle_step(kvm::Vcpu& vcpu);
  [[nodiscard]] gdb::ThreadId thread_of(const kvm::Vcpu& vcpu) const { return {pid_, vcpu.id() + 1}; }

  ExitHandler& machine_;
  TrapFinder& finder_;
  LinearMemory& memory_;
  VcpuGroup* group_ = nullptr;
  std::uint32_t pid_ = 1;
  std::vector<PerVcpu> vcpus_;

  // Written while everything is parked, read by vCPU threads.
  kvm::DebugSupport support_;
  TrapKind trap_ = TrapKind::None;
  DebugRegisters registers_{};
  bool traps_planted_ = false;
  gdb::StepFlags step_flags_ = gdb::StepFlags::Default;
  bool block_interrupts_works_ = true;

  /// Whether exits are looked at.
  std::atomic<bool> armed_{false};
  /// Held while a pause of the group is begun, so that all_parked() finds the phase that goes with it.
  mutable uvm::Mutex mutex_{uvm::LockRank::Machine};
  std::condition_variable_any changed_;
  Phase phase_ GUARDED_BY(mutex_) = Phase::Free;
  bool paused_while_free_ GUARDED_BY(mutex_) = false;
  bool delivering_ GUARDED_BY(mutex_) = false;
  std::optional<gdb::StopEvent> event_ GUARDED_BY(mutex_);
  Sink sink_ GUARDED_BY(mutex_);
  std::uint32_t first_resumed_ GUARDED_BY(mutex_) = 0;
};

}  // namespace vmm::debug

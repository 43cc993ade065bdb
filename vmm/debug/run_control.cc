#include "vmm/debug/run_control.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <utility>

namespace vmm::debug {
namespace {

using gdb::StopEvent;
using gdb::StopReason;
using uvm::Error;
using uvm::ErrorKind;

/// How long a vCPU may take to leave the guest and what it does for it; microseconds unless the host is ill.
constexpr std::chrono::seconds kStopLimit{10};
constexpr std::uint32_t kDebugVector = 1;
constexpr std::uint32_t kBreakpointVector = 3;
constexpr std::uint32_t kSfmask = gdb::msr_number(gdb::Msr::Sfmask);

bool has(gdb::StepFlags flags, gdb::StepFlags one) {
  return (static_cast<unsigned>(flags) & static_cast<unsigned>(one)) != 0;
}

}  // namespace

uvm::Result<std::uint64_t> linear_pc(kvm::Vcpu& vcpu) {
  UVMM_TRY(const kvm_regs regs, vcpu.regs());
  UVMM_TRY(const kvm_sregs sregs, vcpu.sregs());
  if ((sregs.efer & kEferLongModeActive) != 0 && sregs.cs.l != 0) return regs.rip;
  return (sregs.cs.base + regs.rip) & 0xffff'ffff;
}

void RunControl::set_group(VcpuGroup& group) {
  group_ = &group;
  vcpus_.resize(group.size());
}

void RunControl::set_support(const kvm::DebugSupport& support) {
  support_ = support;
  trap_ = choose_trap(support);
}

// --- phases
// --------------------------------------------------------------------------------------------------

void RunControl::begin_stop_locked(std::optional<StopEvent> event) {
  phase_ = Phase::Stopping;
  event_ = std::move(event);
  armed_.store(true, std::memory_order_release);
  // Whether anybody is left in the guest is asked by finish_stop_locked().
  static_cast<void>(group_->begin_pause());
}

bool RunControl::finish_stop_locked() {
  if (phase_ != Phase::Stopping || !group_->all_parked()) return false;
  for (std::size_t i = 0; i < group_->size(); ++i) settle_step(group_->vcpu(i));
  phase_ = Phase::Stopped;
  changed_.notify_all();
  return true;
}

void RunControl::start_paused() {
  const uvm::MutexLock lock(mutex_);
  paused_while_free_ = true;
  static_cast<void>(group_->begin_pause());
}

uvm::Status RunControl::halt() {
  const uvm::MutexLock lock(mutex_);
  const Phase before = phase_;
  if (phase_ == Phase::Free && paused_while_free_) {
    paused_while_free_ = false;
    phase_ = Phase::Stopped;
    armed_.store(true, std::memory_order_release);
  }
  if (phase_ == Phase::Free || phase_ == Phase::Running) begin_stop_locked(std::nullopt);
  const auto deadline = std::chrono::steady_clock::now() + kStopLimit;
  while (phase_ == Phase::Stopping && !finish_stop_locked()) {
    if (changed_.wait_until(mutex_, deadline) != std::cv_status::timeout) continue;
    if (phase_ != Phase::Stopping || finish_stop_locked()) break;
    phase_ = before == Phase::Free ? Phase::Free : Phase::Running;
    group_->resume();
    return Error(ErrorKind::Busy, "a vCPU did not stop for the debugger within seconds", "try again");
  }
  return uvm::ok();
}

void RunControl::release(gdb::AfterDetach after) {
  registers_ = {};
  traps_planted_ = false;
  const uvm::MutexLock lock(mutex_);
  if (phase_ != Phase::Stopped) return;
  for (std::size_t i = 0; i < group_->size(); ++i) {
    vcpus_[i].plan = {};
    // A host that refuses to switch guest debug off has refused to switch it on.
    static_cast<void>(apply(group_->vcpu(i), kvm_guest_debug{}));
    group_->hold(i, Hold::Released);
  }
  phase_ = Phase::Free;
  armed_.store(false, std::memory_order_release);
  paused_while_free_ = after == gdb::AfterDetach::StayStopped;
  if (!paused_while_free_) group_->resume();
}

void RunControl::set_sink(Sink sink) {
  const uvm::MutexLock lock(mutex_);
  sink_ = std::move(sink);
  while (!sink_ && delivering_) changed_.wait(mutex_);
}

uvm::Status RunControl::resume(std::span<const VcpuPlan> plans) {
  const uvm::MutexLock lock(mutex_);
  if (phase_ == Phase::Ended) return Error(ErrorKind::Invalid, "the machine has ended");
  if (phase_ != Phase::Stopped) return Error(ErrorKind::Invalid, "the vCPUs run already");
  const auto first = std::find_if(plans.begin(), plans.end(),
                                  [](const VcpuPlan& plan) { return plan.kind != VcpuPlan::Kind::Stay; });
  if (first == plans.end() || plans.size() != vcpus_.size()) {
    return Error(ErrorKind::Invalid, "no vCPU is to run");
  }
  uvm::Status status = uvm::ok();
  for (std::size_t i = 0; status && i < plans.size(); ++i) status = guard_step(group_->vcpu(i), plans[i]);
  if (!status) {
    for (std::size_t i = 0; i < plans.size(); ++i) settle_step(group_->vcpu(i));
    return status;
  }
  for (std::size_t i = 0; i < plans.size(); ++i) {
    vcpus_[i].plan = plans[i];
    const bool stays = plans[i].kind == VcpuPlan::Kind::Stay;
    group_->hold(i, stays ? Hold::Held : Hold::Released);
    if (!stays) UVMM_CHECK(apply(group_->vcpu(i), debug_for(plans[i])));
  }
  first_resumed_ = static_cast<std::uint32_t>(first - plans.begin());
  phase_ = Phase::Running;
  group_->resume();
  return uvm::ok();
}

void RunControl::interrupt() {
  StopEvent event;
  Sink sink;
  {
    const uvm::MutexLock lock(mutex_);
    if (phase_ != Phase::Running) return;
    event.thread = {pid_, first_resumed_ + 1};
    begin_stop_locked(event);
    if (finish_stop_locked()) sink = take_sink_locked();
  }
  deliver(sink, event);
}

void RunControl::machine_ended(int status) {
  StopEvent event;
  Sink sink;
  {
    const uvm::MutexLock lock(mutex_);
    if (phase_ == Phase::Ended) return;
    event.reason = StopReason::Exited;
    event.thread = {pid_, first_resumed_ + 1};
    event.status = status;
    event_ = event;
    phase_ = Phase::Ended;
    changed_.notify_all();
    sink = take_sink_locked();
  }
  deliver(sink, event);
}

bool RunControl::has_ended() const {
  const uvm::MutexLock lock(mutex_);
  return phase_ == Phase::Ended;
}

void RunControl::all_parked() {
  StopEvent event;
  Sink sink;
  {
    const uvm::MutexLock lock(mutex_);
    if (!finish_stop_locked() || !event_) return;
    event = *event_;
    sink = take_sink_locked();
  }
  deliver(sink, event);
}

void RunControl::report(const StopEvent& event) {
  const uvm::MutexLock lock(mutex_);
  if (phase_ == Phase::Running) begin_stop_locked(event);
}

RunControl::Sink RunControl::take_sink_locked() {
  delivering_ = static_cast<bool>(sink_);
  return sink_;
}

void RunControl::deliver(const Sink& sink, const StopEvent& event) {
  if (!sink) return;
  sink(event);
  const uvm::MutexLock lock(mutex_);
  delivering_ = false;
  changed_.notify_all();
}

// --- guest debug of one vCPU
// ---------------------------------------------------------------------------------

uvm::Status RunControl::can_step(const kvm::Vcpu& vcpu, const kvm_sregs& sregs) const {
  const bool user = sregs.ss.dpl == 3;
  if (user ? support_.user.single_step : support_.supervisor.single_step) return uvm::ok();
  return Error(ErrorKind::Unsupported,
               "this host's KVM cannot single-step " + std::string(user ? "user" : "kernel") +
                   " code (vCPU " + std::to_string(vcpu.id()) + " is at CPL " + (user ? "3)" : "0)"),
               "continue to a breakpoint instead");
}

kvm_guest_debug RunControl::debug_for(const VcpuPlan& plan) const {
  kvm_guest_debug debug{};
  if (trap_ == TrapKind::Int3 && traps_planted_) debug.control |= KVM_GUESTDBG_USE_SW_BP;
  const std::uint64_t dr7 = dr7_of(registers_);
  if (dr7 != dr7_of({})) {
    debug.control |= KVM_GUESTDBG_USE_HW_BP;
    for (std::size_t i = 0; i < registers_.size(); ++i) debug.arch.debugreg[i] = registers_[i].address;
    debug.arch.debugreg[7] = dr7;
  }
  if (plan.steps()) {
    debug.control |= KVM_GUESTDBG_SINGLESTEP;
    if (block_interrupts_works_ && has(step_flags_, gdb::StepFlags::NoInterrupts)) {
      debug.control |= KVM_GUESTDBG_BLOCKIRQ;
    }
  }
  if (debug.control != 0) debug.control |= KVM_GUESTDBG_ENABLE;
  return debug;
}

uvm::Status RunControl::apply(kvm::Vcpu& vcpu, const kvm_guest_debug& debug) {
  kvm_guest_debug& applied = vcpus_[vcpu.id()].applied;
  const bool steps = (debug.control & KVM_GUESTDBG_SINGLESTEP) != 0;
  // KVM arms a step for the RIP it sees at this call, so a step is told anew each time.
  if (!steps && std::memcmp(&applied, &debug, sizeof(debug)) == 0) return uvm::ok();
  auto status = vcpu.set_guest_debug(debug);
  if (!status && (debug.control & KVM_GUESTDBG_BLOCKIRQ) != 0) {  // before Linux 5.16
    block_interrupts_works_ = false;
    kvm_guest_debug without = debug;
    without.control &= ~std::uint32_t{KVM_GUESTDBG_BLOCKIRQ};
    status = vcpu.set_guest_debug(without);
  }
  if (!status) return status;
  const bool stepped = (applied.control & KVM_GUESTDBG_SINGLESTEP) != 0;
  applied = debug;
  if (steps || !stepped || !vcpus_[vcpu.id()].guard.own_flag()) return status;
  UVMM_TRY(kvm_regs regs, vcpu.regs());
  regs.rflags |= StepGuard::kTrapFlag;
  return vcpu.set_regs(regs);
}

uvm::Status RunControl::guard_step(kvm::Vcpu& vcpu, const VcpuPlan& plan) {
  if (!plan.steps()) return uvm::ok();
  PerVcpu& mine = vcpus_[vcpu.id()];
  UVMM_TRY(const kvm_regs regs, vcpu.regs());
  UVMM_TRY(const kvm_sregs sregs, vcpu.sregs());
  UVMM_CHECK(can_step(vcpu, sregs));
  const bool stepped = (mine.applied.control & KVM_GUESTDBG_SINGLESTEP) != 0;
  mine.guard.arm(regs, sregs, memory_, stepped ? StepGuard::Turn::Next : StepGuard::Turn::First);
  if (mine.guard.meets_interrupt_return() && trap_ == TrapKind::Int3AsError) {
    // Seen on PVM: the emulator stops half way through, with the flags loaded and RIP not.
    return Error(ErrorKind::Unsupported, "this host's KVM emulates kernel code and cannot step over IRET",
                 "continue to a breakpoint where it returns to");
  }
  if (!mine.guard.meets_system_call()) return uvm::ok();
  kvm_msr_entry mask{kSfmask, 0, 0};
  UVMM_CHECK(vcpu.msrs(std::span(&mask, 1)));
  mine.guard.set_mask(mask.data);
  mask.data &= ~StepGuard::kTrapFlag;
  return vcpu.set_msrs(std::span(&mask, 1));
}

void RunControl::settle_step(kvm::Vcpu& vcpu) {
  StepGuard& guard = vcpus_[vcpu.id()].guard;
  if (!guard.is_armed()) return;
  // What could be read and set before the step can be now.
  if (const auto before = guard.mask()) {
    const kvm_msr_entry mask{kSfmask, 0, *before};
    static_cast<void>(vcpu.set_msrs(std::span(&mask, 1)));
  }
  auto regs = vcpu.regs();
  if (regs && guard.settle(*regs, memory_)) static_cast<void>(vcpu.set_regs(*regs));
}

// --- exits
// ---------------------------------------------------------------------------------------------------

Next RunControl::handle(kvm::Vcpu& vcpu, kvm::Exit& exit) {
  PerVcpu& mine = vcpus_[vcpu.id()];
  const auto* io = std::get_if<kvm::IoExit>(&exit);
  mine.access_pending = io != nullptr || std::holds_alternative<kvm::MmioExit>(exit);
  if (!armed_.load(std::memory_order_acquire)) return machine_.handle(vcpu, exit);

  if (const auto* debug = std::get_if<kvm::DebugExit>(&exit)) return debug_exit(vcpu, *debug);
  if (is_int3_error(exit)) {
    const auto pc = linear_pc(vcpu);
    return pc ? breakpoint(vcpu, *pc) : machine_.handle(vcpu, exit);
  }
  if (io != nullptr && took_out_trap(vcpu, *io)) return Next::Continue;
  return machine_handles(vcpu, exit);
}

Next RunControl::machine_handles(kvm::Vcpu& vcpu, kvm::Exit& exit) {
  const Next next = machine_.handle(vcpu, exit);
  PerVcpu& mine = vcpus_[vcpu.id()];
  if (next == Next::EndMachine || !mine.access_pending || !mine.plan.steps()) return next;
  // KVM would finish the access on the next entry and run one instruction more before it stops.
  if (finish_access(vcpu) == Next::EndMachine) return Next::EndMachine;
  return step_done(vcpu);
}

Next RunControl::finish_access(kvm::Vcpu& vcpu) {
  PerVcpu& mine = vcpus_[vcpu.id()];
  while (mine.access_pending) {
    auto exit = vcpu.complete_pending();
    if (!exit) {
      machine_.failed(vcpu, exit.error());
      return Next::EndMachine;
    }
    mine.access_pending =
        std::holds_alternative<kvm::IoExit>(*exit) || std::holds_alternative<kvm::MmioExit>(*exit);
    // IntrExit: done. DebugExit: done, and the step with it.
    if (mine.access_pending && machine_.handle(vcpu, *exit) == Next::EndMachine) return Next::EndMachine;
  }
  return Next::Continue;
}

Next RunControl::parking(kvm::Vcpu& vcpu) {
  // Also without a debugger: whoever pauses may be about to save registers.
  return finish_access(vcpu);
}

Next RunControl::debug_exit(kvm::Vcpu& vcpu, const kvm::DebugExit& exit) {
  if (exit.exception == kBreakpointVector) return breakpoint(vcpu, exit.pc);
  constexpr std::uint64_t kHits = (1U << kDebugRegisters) - 1;
  const std::uint64_t enabled = dr7_of(registers_) != dr7_of({}) ? kHits : 0;
  if ((exit.dr6 & enabled) != 0) return hardware_hit(vcpu, exit.dr6);
  if (vcpus_[vcpu.id()].plan.steps()) return step_done(vcpu);
  return exit.exception == kDebugVector ? reflect(vcpu, KVM_GUESTDBG_INJECT_DB) : Next::Continue;
}

Next RunControl::breakpoint(kvm::Vcpu& vcpu, std::uint64_t linear) {
  if (!finder_.may_be_planted(linear) || !finder_.is_planted(vcpu, linear)) {
    return reflect(vcpu, KVM_GUESTDBG_INJECT_BP);
  }
  StopEvent event;
  event.reason = StopReason::SoftwareBreakpoint;
  event.thread = thread_of(vcpu);
  report(event);
  return Next::Continue;
}

bool RunControl::is_int3_error(const kvm::Exit& exit) const {
  if (trap_ != TrapKind::Int3AsError) return false;
  const auto* error = std::get_if<kvm::InternalErrorExit>(&exit);
  return error != nullptr && error->byte_count != 0 && error->bytes[0] == 0xcc;
}

bool RunControl::took_out_trap(kvm::Vcpu& vcpu, const kvm::IoExit& io) {
  if (trap_ != TrapKind::Out || !traps_planted_) return false;
  if (io.direction != kvm::Direction::Out || io.size != 1 || io.count != 1) return false;
  const auto at_exit = linear_pc(vcpu);
  // KVM may or may not have moved RIP on by now; it has once the access is finished.
  if (!at_exit || (!finder_.may_be_planted(*at_exit) && !finder_.may_be_planted(*at_exit - 1))) return false;
  if (!vcpu.complete_pending()) return false;
  vcpus_[vcpu.id()].access_pending = false;
  auto regs = vcpu.regs();
  const auto after = linear_pc(vcpu);
  if (!regs || !after || !finder_.is_planted(vcpu, *after - 1)) return false;
  --regs->rip;
  if (!vcpu.set_regs(*regs)) return false;
  return breakpoint(vcpu, *after - 1) == Next::Continue;
}

Next RunControl::hardware_hit(const kvm::Vcpu& vcpu, std::uint64_t dr6) {
  for (std::size_t i = 0; i < registers_.size(); ++i) {
    const DebugRegister& hit = registers_[i];
    if ((dr6 >> i & 1) == 0 || hit.length == 0) continue;
    StopEvent event;
    event.thread = thread_of(vcpu);
    event.address = hit.address;
    event.reason = hit.kind == WatchKind::Execute ? StopReason::HardwareBreakpoint
                   : hit.kind == WatchKind::Write ? StopReason::WriteWatch
                                                  : StopReason::AccessWatch;
    report(event);
    break;
  }
  return Next::Continue;
}

Next RunControl::step_done(kvm::Vcpu& vcpu) {
  const VcpuPlan& plan = vcpus_[vcpu.id()].plan;
  settle_step(vcpu);
  if (plan.kind == VcpuPlan::Kind::RangeStep) {
    const auto regs = vcpu.regs();
    const bool inside = regs && regs->rip >= plan.begin && regs->rip < plan.end;
    if (inside && guard_step(vcpu, plan) && apply(vcpu, debug_for(plan))) return Next::Continue;
  }
  StopEvent event;
  event.reason = StopReason::Step;
  event.thread = thread_of(vcpu);
  report(event);
  return Next::Continue;
}

/// The guest's own exception: it gets it as if nobody had looked.
Next RunControl::reflect(kvm::Vcpu& vcpu, std::uint32_t flag) {
  if (trap_ == TrapKind::Int3AsError && flag == KVM_GUESTDBG_INJECT_BP) {
    // The emulator gave up in front of the instruction; the exception is a trap and returns behind it.
    auto regs = vcpu.regs();
    if (regs) ++regs->rip;
    if (!regs || !vcpu.set_regs(*regs)) return Next::EndMachine;
  }
  kvm_guest_debug debug = debug_for(vcpus_[vcpu.id()].plan);
  debug.control |= flag | KVM_GUESTDBG_ENABLE;
  if (const auto status = vcpu.set_guest_debug(debug); !status) {
    machine_.failed(vcpu, status.error());
    return Next::EndMachine;
  }
  vcpus_[vcpu.id()].applied = debug;
  return Next::Continue;
}

}  // namespace vmm::debug

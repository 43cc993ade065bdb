#include "vmm/gdb/machine_target.h"

#include <utility>

#include "uvm/base/range.h"
#include "vmm/debug/kaslr.h"
#include "vmm/debug/monitor.h"
#include "vmm/debug/registers.h"

namespace vmm::gdb {
namespace {

using debug::HardwareRequest;
using debug::Place;
using debug::VcpuPlan;
using debug::WatchKind;
using uvm::Error;
using uvm::ErrorKind;
using uvm::Result;
using uvm::Status;

VcpuPlan plan_of(const ThreadAction& action) {
  switch (action.kind) {
    case ThreadAction::Kind::Step:
      return {VcpuPlan::Kind::Step, 0, 0};
    case ThreadAction::Kind::RangeStep:
      return {VcpuPlan::Kind::RangeStep, action.begin, action.end};
    case ThreadAction::Kind::Continue:
      break;
  }
  return {VcpuPlan::Kind::Continue, 0, 0};
}

HardwareRequest hardware_of(const Breakpoint& breakpoint) {
  const auto kind = breakpoint.kind == BreakpointKind::Hardware     ? WatchKind::Execute
                    : breakpoint.kind == BreakpointKind::WriteWatch ? WatchKind::Write
                                                                    : WatchKind::Access;
  // An execution breakpoint has no length, whatever a client says of it.
  return {kind, breakpoint.address, kind == WatchKind::Execute ? 1 : breakpoint.length};
}

std::string_view activity(const kvm::Vcpu& vcpu) {
  const auto state = vcpu.mp_state();
  if (!state) return "unknown";
  switch (state->mp_state) {
    case KVM_MP_STATE_RUNNABLE:
      return "running";
    case KVM_MP_STATE_UNINITIALIZED:
      return "waiting for INIT";
    case KVM_MP_STATE_INIT_RECEIVED:
    case KVM_MP_STATE_SIPI_RECEIVED:
      return "waiting for SIPI";
    case KVM_MP_STATE_HALTED:
      return "halted";
    default:
      return "stopped";
  }
}

}  // namespace

Result<StopEvent> MachineTarget::attach(StopListener& listener) {
  UVMM_CHECK(inferior_.attach([&listener](const StopEvent& event) { listener.stopped(event); }));
  {
    const uvm::MutexLock lock(mutex_);
    listener_ = &listener;
  }
  StopEvent event;
  event.reason = StopReason::Signal;
  event.thread.pid = machine_.pid;
  return event;
}

void MachineTarget::detach(AfterDetach after) {
  {
    const uvm::MutexLock lock(mutex_);
    listener_ = nullptr;
  }
  inferior_.detach(after);
}

bool MachineTarget::forked(Fd door) {
  {
    const uvm::MutexLock lock(mutex_);
    if (listener_ == nullptr || !listener_->forked(std::move(door))) return false;
  }
  inferior_.run().interrupt();
  return true;
}

Status MachineTarget::resume(std::span<const ThreadAction> actions) {
  std::vector<VcpuPlan> plans(inferior_.vcpus());
  for (const ThreadAction& action : actions) {
    UVMM_TRY(const std::size_t index, find(action.thread));
    plans[index] = plan_of(action);
  }
  return inferior_.resume(plans);
}

std::vector<ThreadInfo> MachineTarget::threads() {
  std::vector<ThreadInfo> threads;
  for (std::uint32_t i = 0; i < inferior_.vcpus(); ++i) {
    threads.push_back({{machine_.pid, i + 1}, "vcpu" + std::to_string(i)});
  }
  return threads;
}

std::string MachineTarget::thread_state(ThreadId thread) {
  const auto index = find(thread);
  if (!index) return "gone";
  std::string state(activity(inferior_.vcpu(*index)));
  if (const auto sregs = inferior_.sregs(*index)) {
    state += sregs->ss.dpl == 3 ? ", CPL 3" : ", CPL 0";
  }
  return state;
}

XsaveLayout MachineTarget::xsave_layout() {
  const auto layout = debug::xsave_layout(inferior_.vcpu(0));
  return layout ? *layout : XsaveLayout{};
}

Status MachineTarget::read_registers(ThreadId thread, RegisterGroups groups, RegisterFile& file) {
  UVMM_TRY(const std::size_t index, find(thread));
  return debug::read_registers(inferior_.vcpu(index), groups, file);
}

Status MachineTarget::write_registers(ThreadId thread, RegisterGroups groups, const RegisterFile& file) {
  UVMM_TRY(const std::size_t index, find(thread));
  inferior_.registers_changed();
  return debug::write_registers(inferior_.vcpu(index), groups, file);
}

Result<std::size_t> MachineTarget::read_memory(AddressSpace space, std::uint64_t address,
                                               std::span<std::byte> to) {
  UVMM_TRY(const Place from, place(space, address));
  return inferior_.read(from, to);
}

Status MachineTarget::write_memory(AddressSpace space, std::uint64_t address,
                                   std::span<const std::byte> from) {
  UVMM_TRY(const Place to, place(space, address));
  return inferior_.write(to, from);
}

Result<MemoryRegion> MachineTarget::memory_region(AddressSpace space, std::uint64_t address) {
  UVMM_TRY(const Place at, place(space, address));
  MemoryRegion region{address & ~(uvm::kPageSize - 1), 0, false, false, false};
  region.end = region.begin + uvm::kPageSize;
  if (const auto found = inferior_.translate(at)) {
    region.begin = address & ~(found->page_bytes - 1);
    region.end = region.begin + found->page_bytes;
    region.mapped = true;
    region.writable = found->writable;
    region.executable = true;
  }
  return region;
}

Status MachineTarget::insert_breakpoint(AddressSpace space, const Breakpoint& breakpoint) {
  UVMM_TRY(const Place at, place(space, breakpoint.address));
  if (breakpoint.kind == BreakpointKind::Software) return inferior_.insert_software(at);
  if (!at.vcpu) {
    return Error(ErrorKind::Unsupported, "debug registers hold linear addresses, not physical ones");
  }
  return inferior_.insert_hardware(hardware_of(breakpoint));
}

Status MachineTarget::remove_breakpoint(AddressSpace space, const Breakpoint& breakpoint) {
  UVMM_TRY(const Place at, place(space, breakpoint.address));
  if (breakpoint.kind == BreakpointKind::Software) {
    inferior_.remove_software(at);
  } else {
    inferior_.remove_hardware(hardware_of(breakpoint));
  }
  return uvm::ok();
}

Status MachineTarget::monitor(ThreadId thread, std::string_view line, const TextSink& out) {
  UVMM_TRY(const std::size_t index, find(thread));
  return debug::run_monitor(inferior_, index, line, out);
}

std::optional<std::uint64_t> MachineTarget::kernel_text() {
  return debug::linux_text(inferior_);
}

Result<std::size_t> MachineTarget::find(ThreadId thread) const {
  if (thread.pid == machine_.pid && thread.tid >= 1 && thread.tid <= inferior_.vcpus()) {
    return std::size_t{thread.tid} - 1;
  }
  return Error(ErrorKind::NotFound,
               "there is no thread p" + std::to_string(thread.pid) + "." + std::to_string(thread.tid));
}

Result<Place> MachineTarget::place(AddressSpace space, std::uint64_t address) const {
  if (space.kind == AddressSpace::Kind::Physical) return Place{std::nullopt, address};
  UVMM_TRY(const std::size_t index, find(space.thread));
  return Place{index, address};
}

}  // namespace vmm::gdb

// The probe's guest-debug part. KVM_SET_GUEST_DEBUG succeeding means nothing; only an exit does.
#include <array>
#include <string>

#include "vmm/kvm/probe_parts.h"
#include "vmm/kvm/system.h"
#include "vmm/kvm/trial_vm.h"

namespace vmm::kvm {

namespace {

// int3; nop; mov %eax, kDevice
constexpr std::array<std::uint8_t, 9> kInt3{0xcc, 0x90, 0x89, 0x04, 0x25, 0x00, 0x00, 0x10, 0x00};
// nop; nop; mov %eax, kData; nop; mov %eax, kDevice
constexpr std::array<std::uint8_t, 17> kPlain{0x90, 0x90, 0x89, 0x04, 0x25, 0x00, 0x90, 0x00, 0x00,
                                              0x90, 0x89, 0x04, 0x25, 0x00, 0x00, 0x10, 0x00};

// out %al,(%dx); mov %eax, kDevice
constexpr std::array<std::uint8_t, 8> kOut{0xee, 0x89, 0x04, 0x25, 0x00, 0x00, 0x10, 0x00};

kvm_guest_debug request(std::uint32_t facility) {
  kvm_guest_debug debug{};
  debug.control = KVM_GUESTDBG_ENABLE | facility;
  return debug;
}

kvm_guest_debug hardware(std::uint64_t address, std::uint64_t dr7) {
  kvm_guest_debug debug = request(KVM_GUESTDBG_USE_HW_BP);
  debug.arch.debugreg[0] = address;
  debug.arch.debugreg[7] = dr7 | 0x400;  // the bit that is always one
  return debug;
}

bool is_debug(const uvm::Result<Exit>& exit) {
  return exit && std::holds_alternative<DebugExit>(*exit);
}

bool is_int3_error(const uvm::Result<Exit>& exit) {
  const auto* error = exit ? std::get_if<InternalErrorExit>(&*exit) : nullptr;
  return error != nullptr && error->byte_count != 0 && error->bytes[0] == 0xcc;
}

DebugFacilities try_out(TrialVm& trial, Ring ring) {
  DebugFacilities found;
  const kvm_guest_debug software = request(KVM_GUESTDBG_USE_SW_BP);
  const auto int3 = trial.execute(ring, kInt3, &software);
  found.software_breakpoint = is_debug(int3);
  found.breakpoint_as_error = is_int3_error(int3);

  const auto out = trial.execute(ring, kOut);
  found.out_as_exit = out && std::holds_alternative<IoExit>(*out);

  constexpr std::uint64_t kExecute = 0x1;     // L0, one byte, execution
  constexpr std::uint64_t kWrite4 = 0xd0001;  // L0, four bytes, writes
  const kvm_guest_debug at_second = hardware(TrialVm::kCode + 1, kExecute);
  found.hardware_breakpoint = is_debug(trial.execute(ring, kPlain, &at_second));
  const kvm_guest_debug on_data = hardware(TrialVm::kData, kWrite4);
  found.watchpoint = is_debug(trial.execute(ring, kPlain, &on_data));
  const kvm_guest_debug step = request(KVM_GUESTDBG_SINGLESTEP);
  found.single_step = is_debug(trial.execute(ring, kPlain, &step));
  return found;
}

void add_facility(Report& report, const char* name, bool supervisor, bool user) {
  const std::string value =
      std::string("CPL 0 ") + (supervisor ? "yes" : "no") + ", CPL 3 " + (user ? "yes" : "no");
  if (supervisor && user) return add(report, "debug", name, value, Verdict::Yes, "offered to gdb");
  if (supervisor || user) {
    return add(report, "debug", name, value, Verdict::Degraded, "offered to gdb where it works");
  }
  add(report, "debug", name, value, Verdict::No, "refused to gdb");
}

/// Whatever makes a trap byte come back.
bool traps(const DebugFacilities& found) {
  return found.software_breakpoint || found.breakpoint_as_error;
}

}  // namespace

uvm::Result<DebugSupport> probe_debug_support() {
  UVMM_TRY(const System system, System::open());
  UVMM_TRY(const auto trial, TrialVm::create(system));
  return DebugSupport{try_out(*trial, Ring::Supervisor), try_out(*trial, Ring::User)};
}

void probe_debug(Report& report, TrialVm& trial) {
  const DebugFacilities supervisor = try_out(trial, Ring::Supervisor);
  const DebugFacilities user = try_out(trial, Ring::User);
  report.debug_supervisor = supervisor;
  report.debug_user = user;
  add_facility(report, "software breakpoint", supervisor.software_breakpoint, user.software_breakpoint);
  if (supervisor.breakpoint_as_error || user.breakpoint_as_error) {
    add_facility(report, "... as an emulator error", supervisor.breakpoint_as_error,
                 user.breakpoint_as_error);
  }
  if (!traps(supervisor) && supervisor.out_as_exit) {
    add_facility(report, "... as an OUT instruction", true, false);
  }
  add_facility(report, "hardware breakpoint", supervisor.hardware_breakpoint, user.hardware_breakpoint);
  add_facility(report, "watchpoint", supervisor.watchpoint, user.watchpoint);
  add_facility(report, "single step", supervisor.single_step, user.single_step);
}

}  // namespace vmm::kvm

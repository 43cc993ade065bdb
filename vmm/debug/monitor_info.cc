// The monitor's verbs that only look.
#include <array>
#include <utility>

#include "uvm/base/range.h"
#include "vmm/debug/kaslr.h"
#include "vmm/debug/mapped_ranges.h"
#include "vmm/debug/monitor_verbs.h"
#include "vmm/debug/registers.h"
#include "vmm/machine/memory_map.h"
#include "vmm/machine/pin_list.h"

namespace vmm::debug::monitor {

using uvm::Status;

std::string hex16(std::uint64_t value) {
  std::string text = uvm::hex(value);
  return "0x" + std::string(18 - text.size(), '0') + text.substr(2);
}

Status uvm_map(MonitorCall& call) {
  call.out(format_memory_map(call.inferior.space()));
  return uvm::ok();
}

Status shares(MonitorCall& call) {
  if (!call.inferior.door().shares) {
    return uvm::Error(uvm::ErrorKind::Unsupported, "nobody counts this machine's memory");
  }
  UVMM_TRY(const std::string told, call.inferior.door().shares());
  call.out(told);
  return uvm::ok();
}

Status pins(MonitorCall& call) {
  call.out(format_pins(call.inferior.space()));
  return uvm::ok();
}

Status vcpus(MonitorCall& call) {
  for (std::size_t i = 0; i < call.inferior.vcpus(); ++i) {
    UVMM_TRY(const kvm_regs regs, call.inferior.vcpu(i).regs());
    UVMM_TRY(const kvm_sregs sregs, call.inferior.sregs(i));
    UVMM_TRY(const kvm_mp_state state, call.inferior.vcpu(i).mp_state());
    call.out((i == call.vcpu ? "* " : "  ") + ("vcpu " + std::to_string(i)) + ": rip " + hex16(regs.rip) +
             ", cr3 " + hex16(sregs.cr3) + ", CPL " + std::to_string(sregs.ss.dpl) + ", " +
             std::string(to_string(paging_mode(paging_of(sregs)))) + " paging" +
             (state.mp_state == KVM_MP_STATE_HALTED ? ", halted" : "") +
             (state.mp_state == KVM_MP_STATE_UNINITIALIZED ? ", waiting for SIPI" : "") + "\n");
  }
  return uvm::ok();
}

Status registers(MonitorCall& call) {
  gdb::RegisterFile file;
  UVMM_CHECK(read_registers(call.inferior.vcpu(call.vcpu),
                            gdb::RegisterGroups::General | gdb::RegisterGroups::System, file));
  static constexpr std::array<const char*, gdb::kGprs> kNames{"RAX", "RBX", "RCX", "RDX", "RSI", "RDI",
                                                              "RBP", "RSP", "R8 ", "R9 ", "R10", "R11",
                                                              "R12", "R13", "R14", "R15"};
  const auto bare = [](std::uint64_t value) { return hex16(value).substr(2); };
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    call.out(std::string(kNames[i]) + "=" + bare(file.gpr[i]) + (i % 4 == 3 ? "\n" : " "));
  }
  call.out("RIP=" + bare(file.rip) + " RFL=" + bare(file.rflags) + "\n");
  static constexpr std::array<const char*, gdb::kSegments> kSegmentNames{"CS ", "SS ", "DS ", "ES ",
                                                                         "FS ", "GS ", "TR ", "LDT"};
  for (std::size_t i = 0; i < kSegmentNames.size(); ++i) {
    call.out(std::string(kSegmentNames[i]) + " =" + bare(file.segments[i].selector).substr(12) + " " +
             bare(file.segments[i].base) + "\n");
  }
  call.out("GDT=     " + bare(file.gdtr.base) + " " + bare(file.gdtr.limit).substr(8) + "\n");
  call.out("IDT=     " + bare(file.idtr.base) + " " + bare(file.idtr.limit).substr(8) + "\n");
  call.out("CR0=" + bare(file.cr0).substr(8) + " CR2=" + bare(file.cr2) + " CR3=" + bare(file.cr3) +
           " CR4=" + bare(file.cr4).substr(8) + "\nEFER=" + bare(file.efer) + "\n");
  return uvm::ok();
}

Status mapped(MonitorCall& call) {
  UVMM_TRY(const PagingState state, call.inferior.paging(call.vcpu));
  constexpr std::size_t kMost = 20'000;
  const auto ranges = mapped_ranges(state, call.inferior.table_reader(), Merge::SameRights, kMost);
  if (ranges.empty())
    call.out("nothing is mapped (" + std::string(to_string(paging_mode(state))) + " paging)\n");
  for (const MappedRange& range : ranges) {
    call.out(hex16(range.begin).substr(2) + "-" + hex16(range.begin + range.bytes).substr(2) + " " +
             hex16(range.bytes).substr(2) + " " + (range.user ? "u" : "-") + "r" +
             (range.writable ? "w" : "-") + "\n");
  }
  if (ranges.size() == kMost) call.out("… and more\n");
  return uvm::ok();
}

Status breakpoints(MonitorCall& call) {
  if (call.inferior.overlay().spots().empty()) call.out("no software breakpoint is planted or wanted\n");
  for (const auto& [gpa, spot] : call.inferior.overlay().spots()) {
    call.out(hex16(spot.linear) + " at gpa " + uvm::to_string(gpa) + (spot.planted ? ", planted" : "") +
             (spot.wanted ? ", wanted" : ", to be removed") + "\n");
  }
  return uvm::ok();
}

Status kaslr(MonitorCall& call) {
  const auto text = linux_text(call.inferior);
  if (!text) {
    call.out("no Linux kernel has set up its system calls yet\n");
    return uvm::ok();
  }
  const std::uint64_t slide = *text - gdb::kLinkedKernelText;
  call.out("_text runs at " + uvm::hex(*text) + ", " + uvm::hex(slide) +
           " above where it is linked by default; by hand: symbol-file -o " + uvm::hex(slide) + " vmlinux\n");
  return uvm::ok();
}

Status capabilities(MonitorCall& call) {
  const kvm::DebugSupport& support = call.inferior.support();
  const auto line = [&](const char* name, bool supervisor, bool user) {
    call.out(std::string(name) + (supervisor ? "yes" : "no ") + "    " + (user ? "yes" : "no") + "\n");
  };
  call.out("                         CPL 0  CPL 3\n");
  line("INT3 leaves              ", support.supervisor.software_breakpoint, support.user.software_breakpoint);
  line("INT3 as emulator error   ", support.supervisor.breakpoint_as_error, support.user.breakpoint_as_error);
  line("OUT leaves               ", support.supervisor.out_as_exit, support.user.out_as_exit);
  line("hardware breakpoint      ", support.supervisor.hardware_breakpoint, support.user.hardware_breakpoint);
  line("watchpoint               ", support.supervisor.watchpoint, support.user.watchpoint);
  line("single step              ", support.supervisor.single_step, support.user.single_step);
  static constexpr std::array<const char*, 4> kTraps{"none", "INT3", "INT3, by the emulator's error",
                                                     "OUT DX,AL"};
  call.out(std::string("trap byte of a breakpoint: ") +
           kTraps.at(static_cast<std::size_t>(choose_trap(support))) + "\n");
  return uvm::ok();
}

}  // namespace vmm::debug::monitor

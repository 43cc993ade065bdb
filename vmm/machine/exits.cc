#include "vmm/machine/exits.h"

#include <chrono>
#include <string>
#include <thread>
#include <variant>

#include "uvm/base/range.h"

namespace vmm {
namespace {

constexpr std::uint32_t kMostFaultsInARow = 200;
constexpr std::chrono::microseconds kFaultPause{500};
/// The same of instructions that KVM could not emulate; most are what they seem, and end the guest 10 ms
/// later.
constexpr std::uint32_t kMostFailuresInARow = 20;

std::string vcpu_name(const kvm::Vcpu& vcpu) {
  return "vCPU " + std::to_string(vcpu.id());
}

/// " at rip 0x… (cr3 0x…)", as far as the registers can still be read.
std::string where(kvm::Vcpu& vcpu) {
  const auto regs = vcpu.regs();
  const auto sregs = vcpu.sregs();
  std::string text;
  if (regs) text += " at rip " + uvm::hex(regs->rip);
  if (regs && sregs) text += " (cs base " + uvm::hex(sregs->cs.base) + ", cr3 " + uvm::hex(sregs->cr3) + ")";
  return text;
}

}  // namespace

Next Exits::handle(kvm::Vcpu& vcpu, kvm::Exit& exit) {
  counts_.count(vcpu.id(), exit);
  const auto* const failed = std::get_if<kvm::InternalErrorExit>(&exit);
  const bool is_failure = failed != nullptr && failed->is_unknown_instruction();
  if (!is_failure && !std::holds_alternative<kvm::MemoryFaultExit>(exit)) faults_in_a_row_[vcpu.id()] = 0;
  if (is_failure && emulate_again(vcpu)) return Next::Continue;
  return std::visit(kvm::Overloaded{
                        [&](const kvm::IoExit& io) { return port(io); },
                        [&](const kvm::MmioExit& access) { return mmio(vcpu, access); },
                        [&](const kvm::IntrExit&) { return Next::Continue; },
                        [&](const kvm::IoapicEoiExit& eoi) {
                          parts_.end_of_interrupt(eoi.vector);
                          return Next::Continue;
                        },
                        [&](const kvm::ShutdownExit&) { return triple_fault(vcpu); },
                        [&](const kvm::SystemEventExit& event) { return system_event(event); },
                        [&](const kvm::MemoryFaultExit& fault) { return memory_fault(vcpu, fault); },
                        [&](const auto&) { return internal_error(vcpu, exit); },
                    },
                    exit);
}

void Exits::failed(const kvm::Vcpu& vcpu, const uvm::Error& error) {
  parts_.ending.end(ExitStatus::Internal, vcpu_name(vcpu) + " cannot run: " + error.text());
}

Next Exits::after_access() const {
  return parts_.power_event_pending() ? Next::EndMachine : Next::Continue;
}

Next Exits::port(const kvm::IoExit& io) {
  for (std::uint32_t i = 0; i < io.count; ++i) {
    const auto element = io.data.subspan(std::size_t{i} * io.size, io.size);
    if (io.direction == kvm::Direction::Out) {
      parts_.bus.write(BusSpace::Io, io.port, element);
    } else {
      parts_.bus.read(BusSpace::Io, io.port, element);
    }
  }
  return after_access();
}

Next Exits::mmio(const kvm::Vcpu& vcpu, const kvm::MmioExit& access) {
  const bool out = access.direction == kvm::Direction::Out;
  if (parts_.ram.holds(access.gpa, access.data.size())) {
    const auto done =
        out ? parts_.ram.write(access.gpa, access.data) : parts_.ram.read(access.gpa, access.data);
    if (done) return Next::Continue;
    parts_.ending.end(ExitStatus::Internal, vcpu_name(vcpu) + ": RAM at " + uvm::to_string(access.gpa) +
                                                " is not accessible: " + done.error().text());
    return Next::EndMachine;
  }
  if (out) {
    parts_.bus.write(BusSpace::Mmio, access.gpa.value(), access.data);
  } else {
    parts_.bus.read(BusSpace::Mmio, access.gpa.value(), access.data);
  }
  return after_access();
}

Next Exits::triple_fault(kvm::Vcpu& vcpu) {
  parts_.ending.end(ExitStatus::TripleFault,
                    "the guest shut down by a triple fault on " + vcpu_name(vcpu) + where(vcpu) + lost());
  return Next::EndMachine;
}

Next Exits::internal_error(kvm::Vcpu& vcpu, const kvm::Exit& exit) {
  parts_.ending.end(ExitStatus::Internal, "KVM cannot go on with " + vcpu_name(vcpu) + where(vcpu) + ": " +
                                              kvm::to_string(exit) + lost());
  return Next::EndMachine;
}

/// KVM's emulator, which runs a guest's kernel on software paging, cannot read an instruction in the moment
/// in which one kind of mapping replaces another, and takes that for one it does not know. It has queued the
/// guest's #UD then.
bool Exits::emulate_again(kvm::Vcpu& vcpu) {
  if (++faults_in_a_row_[vcpu.id()] > kMostFailuresInARow) return false;
  auto events = vcpu.events();
  if (!events) return false;
  constexpr std::uint8_t kInvalidOpcode = 6;
  if (events->exception.nr == kInvalidOpcode) events->exception.injected = events->exception.pending = 0;
  if (!vcpu.set_events(*events)) return false;
  (void)parts_.ram.drop_lost();
  std::this_thread::sleep_for(kFaultPause);
  return true;
}

Next Exits::system_event(const kvm::SystemEventExit& event) {
  if (event.type == KVM_SYSTEM_EVENT_CRASH) {
    parts_.ending.end(ExitStatus::TripleFault, "the guest reported a crash");
  } else {
    parts_.ending.end(ExitStatus::Ok);
  }
  return Next::EndMachine;
}

/// A guest whose memory went can end in many ways (a page of its page tables: a triple fault on some hosts).
std::string Exits::lost() const {
  const auto there = parts_.ram.drop_lost();
  return there ? std::string() : "; memory of it is lost: " + there.error().text();
}

/// The window can be inaccessible for microseconds while one kind of mapping replaces another (ept/ept.h);
/// the access is repeated until it is clear that nobody will bring the page.
Next Exits::memory_fault(kvm::Vcpu& vcpu, const kvm::MemoryFaultExit& fault) {
  if (++faults_in_a_row_[vcpu.id()] <= kMostFaultsInARow) {
    // Most hosts say no address. What a file lost becomes an event, which knows it and ends the machine.
    (void)parts_.ram.drop_lost();
    std::this_thread::sleep_for(kFaultPause);
    return Next::Continue;
  }
  const std::string why = lost();
  const std::string place = fault.info ? " of " + uvm::to_string(fault.info->gpa) : std::string();
  parts_.ending.end(ExitStatus::Internal, "an access" + place + " by " + vcpu_name(vcpu) + where(vcpu) +
                                              " found no host memory" +
                                              (why.empty() ? "; is the host out of it?" : why));
  return Next::EndMachine;
}

}  // namespace vmm

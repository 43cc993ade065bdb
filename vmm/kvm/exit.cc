#include "vmm/kvm/exit.h"

#include <algorithm>

#include "uvm/base/range.h"
#include "vmm/kvm/abi.h"

namespace vmm::kvm {

namespace {

IoExit decode_io(kvm_run& page, std::size_t page_bytes) {
  const auto& io = page.io;
  const std::uint64_t offset = std::min<std::uint64_t>(io.data_offset, page_bytes);
  const std::uint64_t bytes = std::min<std::uint64_t>(std::uint64_t{io.size} * io.count, page_bytes - offset);
  return {io.direction == KVM_EXIT_IO_IN ? Direction::In : Direction::Out, io.port, io.size, io.count,
          std::span(reinterpret_cast<std::byte*>(&page) + offset, bytes)};
}

MmioExit decode_mmio(kvm_run& page) {
  auto& mmio = page.mmio;
  const std::size_t bytes = std::min<std::size_t>(mmio.len, sizeof(mmio.data));
  return {mmio.is_write != 0 ? Direction::Out : Direction::In, uvm::Gpa(mmio.phys_addr),
          std::span(reinterpret_cast<std::byte*>(mmio.data), bytes)};
}

InternalErrorExit decode_internal(const kvm_run& page) {
  InternalErrorExit exit{page.internal.suberror, {}, 0};
  const auto& failure = page.emulation_failure;
  // ndata counts 64-bit words of data: flags, then two with size and bytes.
  if (exit.suberror == KVM_INTERNAL_ERROR_EMULATION && failure.ndata >= 3 &&
      (failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) != 0) {
    exit.byte_count = std::min<std::uint8_t>(failure.insn_size, 15);
    std::copy_n(failure.insn_bytes, exit.byte_count, exit.bytes.begin());
  }
  return exit;
}

MemoryFaultExit decode_memory_fault(const kvm_run& page) {
  const auto& fault = reinterpret_cast<const abi::MemoryFault&>(page.hw);  // the union's start
  return {MemoryFaultExit::Info{uvm::Gpa(fault.gpa), fault.size, fault.flags}};
}

std::string text_of(const InternalErrorExit& exit) {
  std::string text = "KVM internal error, suberror " + std::to_string(exit.suberror);
  if (exit.suberror == KVM_INTERNAL_ERROR_EMULATION) text += " (an instruction it can't emulate)";
  if (exit.byte_count != 0) text += ", bytes";
  for (std::uint8_t i = 0; i < exit.byte_count; ++i) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    text += ' ';
    text += kDigits[exit.bytes[i] >> 4U];
    text += kDigits[exit.bytes[i] & 15U];
  }
  return text;
}

std::string text_of(const MemoryFaultExit& exit) {
  if (!exit.info) return "host memory not accessible, address not told";
  return "host memory not accessible at gpa " + uvm::to_string(exit.info->gpa) + "+" +
         uvm::hex(exit.info->bytes);
}

const char* verb(Direction direction) {
  return direction == Direction::In ? "read" : "write";
}

}  // namespace

Exit decode_exit(kvm_run& page, std::size_t page_bytes) {
  switch (page.exit_reason) {
    case KVM_EXIT_IO:
      return decode_io(page, page_bytes);
    case KVM_EXIT_MMIO:
      return decode_mmio(page);
    case KVM_EXIT_HLT:
      return HltExit{};
    case KVM_EXIT_SHUTDOWN:
      return ShutdownExit{};
    case KVM_EXIT_INTERNAL_ERROR:
      return decode_internal(page);
    case KVM_EXIT_FAIL_ENTRY:
      return FailEntryExit{page.fail_entry.hardware_entry_failure_reason, page.fail_entry.cpu};
    case KVM_EXIT_IOAPIC_EOI:
      return IoapicEoiExit{page.eoi.vector};
    case KVM_EXIT_SYSTEM_EVENT:
      return SystemEventExit{page.system_event.type};
    case KVM_EXIT_DEBUG: {
      const auto& debug = page.debug.arch;
      return DebugExit{debug.exception, debug.pc, debug.dr6, debug.dr7};
    }
    case abi::kExitMemoryFault:
      return decode_memory_fault(page);
    case KVM_EXIT_DIRTY_RING_FULL:
      return DirtyRingFullExit{};
    case KVM_EXIT_INTR:
      return IntrExit{};
    default:
      return UnknownExit{page.exit_reason, page.hw.hardware_exit_reason};
  }
}

bool InternalErrorExit::is_unknown_instruction() const {
  return suberror == KVM_INTERNAL_ERROR_EMULATION;
}

std::string to_string(const Exit& exit) {
  return std::visit(
      Overloaded{
          [](const IoExit& io) {
            return std::string(verb(io.direction)) + " of port " + uvm::hex(io.port) + ", " +
                   std::to_string(io.count) + " x " + std::to_string(io.size) + " bytes";
          },
          [](const MmioExit& mmio) {
            return std::string(verb(mmio.direction)) + " of " + std::to_string(mmio.data.size()) +
                   " bytes at gpa " + uvm::to_string(mmio.gpa) + " without memory";
          },
          [](const HltExit&) { return std::string("halt"); },
          [](const ShutdownExit&) { return std::string("triple fault"); },
          [](const InternalErrorExit& internal) { return text_of(internal); },
          [](const FailEntryExit& fail) {
            return "the processor refused to enter the guest, reason " + uvm::hex(fail.hardware_reason);
          },
          [](const IoapicEoiExit& eoi) { return "end of interrupt, vector " + uvm::hex(eoi.vector); },
          [](const SystemEventExit& event) { return "system event " + std::to_string(event.type); },
          [](const DebugExit& debug) {
            return "debug exception " + std::to_string(debug.exception) + " at " + uvm::hex(debug.pc) +
                   ", dr6 " + uvm::hex(debug.dr6);
          },
          [](const MemoryFaultExit& fault) { return text_of(fault); },
          [](const DirtyRingFullExit&) { return std::string("dirty ring full"); },
          [](const IntrExit&) { return std::string("interrupted"); },
          [](const UnknownExit& unknown) {
            return "exit reason " + std::to_string(unknown.reason) + ", hardware reason " +
                   uvm::hex(unknown.hardware_reason);
          },
      },
      exit);
}

}  // namespace vmm::kvm

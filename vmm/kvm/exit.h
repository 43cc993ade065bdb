// Why a vCPU came back to user space, as types instead of a union and a number.
#pragma once

#include <linux/kvm.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>

#include "uvm/base/units.h"

namespace vmm::kvm {

enum class Direction { In, Out };

/// IN/OUT/INS/OUTS. `data` lies in the run page and holds count * size bytes: read it for Out, fill it for
/// In, before the next run().
struct IoExit {
  Direction direction;
  std::uint16_t port;
  std::uint8_t size;    // bytes of one access: 1, 2 or 4
  std::uint32_t count;  // accesses, more than one for string instructions
  std::span<std::byte> data;
};
/// An access to a GPA without a slot, or a write to a read-only slot. `data` lies in the run page, 1..8
/// bytes. On PVM emulated guest code also ends here when the *host* page is not accessible; see kvm.h.
struct MmioExit {
  Direction direction;
  uvm::Gpa gpa;
  std::span<std::byte> data;
};
/// HLT with the local APIC in user space (with an in-kernel one KVM waits itself).
struct HltExit {};
/// Triple fault.
struct ShutdownExit {};
/// KVM gave up: suberror 1 is an instruction its emulator can't do; then `bytes` are those at RIP, if known.
struct InternalErrorExit {
  /// Whether KVM's emulator met what it does not know, or could not read it.
  [[nodiscard]] bool is_unknown_instruction() const;
  std::uint32_t suberror;
  std::array<std::uint8_t, 15> bytes;
  std::uint8_t byte_count;
};
/// The processor refused to enter the guest; the reason is the hardware's own code.
struct FailEntryExit {
  std::uint64_t hardware_reason;
  std::uint32_t cpu;
};
/// Split irqchip only: the local APIC saw the EOI of a level-triggered vector the user-space I/O APIC raised.
struct IoapicEoiExit {
  std::uint8_t vector;
};
/// A paravirtual shutdown, reset or crash; `type` is KVM_SYSTEM_EVENT_*.
struct SystemEventExit {
  std::uint32_t type;
};
/// KVM_SET_GUEST_DEBUG found what it was asked for. `dr6` says which; `pc` is the guest's linear RIP.
struct DebugExit {
  std::uint32_t exception;  // vector: 1 or 3
  std::uint64_t pc;
  std::uint64_t dr6;
  std::uint64_t dr7;
};
/// The host page behind a guest access is not accessible (KVM_RUN: EFAULT). No kernel seen so far names the
/// GPA here; `info` is for those that will.
struct MemoryFaultExit {
  struct Info {
    uvm::Gpa gpa;
    std::uint64_t bytes;
    std::uint64_t flags;
  };
  std::optional<Info> info;
};
/// The dirty ring of this vCPU is full.
struct DirtyRingFullExit {};
/// A signal, or immediate_exit: nothing happened in the guest that asks for an answer.
struct IntrExit {};
/// Anything else; `reason` is the kernel's KVM_EXIT_* number.
struct UnknownExit {
  std::uint32_t reason;
  std::uint64_t hardware_reason;
};

using Exit =
    std::variant<IoExit, MmioExit, HltExit, ShutdownExit, InternalErrorExit, FailEntryExit, IoapicEoiExit,
                 SystemEventExit, DebugExit, MemoryFaultExit, DirtyRingFullExit, IntrExit, UnknownExit>;

/// Decodes the run page after KVM_RUN returned 0. `page` must stay mapped while the spans of the result live,
/// and `page_bytes` bounds where PIO data may lie.
[[nodiscard]] Exit decode_exit(kvm_run& page, std::size_t page_bytes);

/// One line for logs and error messages: "internal error, suberror 1, at bytes cc 90".
[[nodiscard]] std::string to_string(const Exit& exit);

/// Makes a visitor of lambdas: `std::visit(Overloaded{[](IoExit& io) {…}, [](auto&) {…}}, exit)`.
template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

}  // namespace vmm::kvm

// Keeps the flag that a processor steps by out of the guest's sight.
//
// Where the processor runs the guest, KVM steps with RFLAGS.TF. It hides the flag from whoever reads
// registers, but not from the instruction that is stepped over: PUSHF stores it on the stack and SYSCALL in
// R11; SYSCALL's mask usually clears it, at which the guest would run on without a stop. And POPF, IRET and
// SYSRET load the guest's own flag, which KVM then takes for its own and drops. So the instruction is looked
// at before a step, and what it has left is put right behind it. Where KVM emulates, there is nothing to put
// right.
//
// What it does not cover: INT n, whose handler runs before the step ends and finds the flag in its frame, as
// the handler of a page fault does that the instruction meets.
//
// Sources: SDM vol. 3B 17.3.1.4 (single-step exceptions), vol. 2 for the instructions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "uvm/base/error.h"
#include "vmm/debug/page_walk.h"
#include "vmm/kvm/vcpu.h"

namespace vmm::debug {

/// Guest memory by linear address, through given tables. Called on vCPU threads while others run.
class LinearMemory {
 public:
  virtual ~LinearMemory() = default;
  /// As far as it goes: how many bytes. A debugger's traps are not among them.
  [[nodiscard]] virtual std::size_t read_linear(const PagingState& state, std::uint64_t linear,
                                                std::span<std::byte> to) = 0;
  /// All or nothing is done, but for a range that crosses pages.
  [[nodiscard]] virtual bool write_linear(const PagingState& state, std::uint64_t linear,
                                          std::span<const std::byte> from) = 0;
};

/// What an instruction does with RFLAGS as a whole.
struct FlagUse {
  enum class Kind : std::uint8_t { None, Push, Pop, InterruptReturn, SystemCall, SystemReturn };
  Kind kind = Kind::None;
  std::uint8_t length = 0;  // bytes of the instruction
  std::uint8_t width = 0;   // bytes of the image on the stack

  friend bool operator==(const FlagUse&, const FlagUse&) = default;
};

enum class CodeSize : std::uint8_t { Bits16, Bits32, Bits64 };

/// The instruction at the front of `code`, which may be cut short.
[[nodiscard]] FlagUse decode_flag_use(std::span<const std::byte> code, CodeSize size);

/// One vCPU's. Thread: the vCPU's, or the debugger's while it is parked.
class StepGuard {
 public:
  static constexpr std::uint64_t kTrapFlag = 0x100;

  /// Before a step, with the registers as the debugger sees them. `first`: none came just before.
  enum class Turn : std::uint8_t { First, Next };
  void arm(const kvm_regs& regs, const kvm_sregs& sregs, LinearMemory& memory, Turn turn);
  [[nodiscard]] bool is_armed() const { return armed_; }
  /// Whether SFMASK must not clear the flag for this step.
  [[nodiscard]] bool meets_system_call() const { return armed_ && use_.kind == FlagUse::Kind::SystemCall; }
  [[nodiscard]] bool meets_interrupt_return() const {
    return armed_ && use_.kind == FlagUse::Kind::InterruptReturn;
  }
  /// SFMASK as the guest has it, when another is in force for the step.
  void set_mask(std::uint64_t mask) { mask_ = mask; }
  [[nodiscard]] std::optional<std::uint64_t> mask() const { return mask_; }

  /// Behind the step, or in its place when something came first: puts memory and `regs` right, and says
  /// whether `regs` have changed.
  [[nodiscard]] bool settle(kvm_regs& regs, LinearMemory& memory);
  /// The guest's own trap flag, to be given back when stepping ends.
  [[nodiscard]] bool own_flag() const { return own_; }

 private:
  [[nodiscard]] std::uint64_t stack(std::uint64_t rsp) const { return stack_base_ + (rsp & stack_mask_); }
  /// The word of flags at a linear address; 0 when it can't be read.
  [[nodiscard]] std::uint64_t image_at(std::uint64_t linear, LinearMemory& memory) const;

  bool armed_ = false;
  bool own_ = false;
  bool next_own_ = false;  // own_ once the instruction is done
  FlagUse use_;
  PagingState paging_;
  std::uint64_t rip_ = 0;
  std::uint64_t stack_base_ = 0;
  std::uint64_t stack_mask_ = 0;
  std::optional<std::uint64_t> mask_;
};

}  // namespace vmm::debug

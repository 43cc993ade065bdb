#include "vmm/debug/step_guard.h"

#include <algorithm>
#include <array>

#include "vmm/debug/page_walk.h"

namespace vmm::debug {
namespace {

constexpr std::size_t kMostInstruction = 15;  // bytes
constexpr std::uint8_t kWide = 0x8;           // REX.W

CodeSize code_size(const kvm_sregs& sregs) {
  if ((sregs.efer & kEferLongModeActive) != 0 && sregs.cs.l != 0) return CodeSize::Bits64;
  return sregs.cs.db != 0 ? CodeSize::Bits32 : CodeSize::Bits16;
}

bool is_prefix(std::uint8_t byte) {
  constexpr std::array<std::uint8_t, 11> kPrefixes{0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
                                                   0x66, 0x67, 0xf0, 0xf2, 0xf3};
  return std::ranges::find(kPrefixes, byte) != kPrefixes.end();
}

/// Of PUSHF and POPF, which are 64 bits wide in 64-bit mode, and of IRET, which needs REX.W for that.
std::uint8_t operand_bytes(CodeSize size, bool other, bool wide) {
  if (wide) return 8;
  return (size == CodeSize::Bits16) != other ? 2 : 4;
}

FlagUse::Kind kind_of(std::uint8_t opcode) {
  switch (opcode) {
    case 0x9c:
      return FlagUse::Kind::Push;
    case 0x9d:
      return FlagUse::Kind::Pop;
    case 0xcf:
      return FlagUse::Kind::InterruptReturn;
    default:
      return FlagUse::Kind::None;
  }
}

FlagUse::Kind kind_of_second(std::uint8_t opcode) {
  if (opcode == 0x05) return FlagUse::Kind::SystemCall;
  return opcode == 0x07 ? FlagUse::Kind::SystemReturn : FlagUse::Kind::None;
}

}  // namespace

FlagUse decode_flag_use(std::span<const std::byte> code, CodeSize size) {
  std::size_t at = 0;
  const auto more = [&] { return at < std::min(code.size(), kMostInstruction); };
  const auto byte = [&] { return std::to_integer<std::uint8_t>(code[at]); };
  bool other_size = false;
  for (; more() && is_prefix(byte()); ++at) other_size = other_size || byte() == 0x66;
  bool wide = false;
  if (more() && size == CodeSize::Bits64 && (byte() & 0xf0U) == 0x40) {
    wide = (byte() & kWide) != 0;
    ++at;
  }
  if (!more()) return {};
  FlagUse use;
  if (byte() == 0x0f) {
    ++at;
    if (more()) use.kind = kind_of_second(byte());
  } else {
    use.kind = kind_of(byte());
    const bool by_stack = use.kind != FlagUse::Kind::InterruptReturn && size == CodeSize::Bits64;
    if (use.kind != FlagUse::Kind::None)
      use.width = operand_bytes(size, other_size, wide || (by_stack && !other_size));
  }
  if (use.kind != FlagUse::Kind::None) use.length = static_cast<std::uint8_t>(at + 1);
  return use;
}

void StepGuard::arm(const kvm_regs& regs, const kvm_sregs& sregs, LinearMemory& memory, Turn turn) {
  armed_ = true;
  mask_.reset();
  // Between steps KVM shows its own flag and the guest's alike as zero.
  if (turn == Turn::First) own_ = (regs.rflags & kTrapFlag) != 0;
  next_own_ = own_;
  rip_ = regs.rip;
  paging_ = {sregs.cr0, sregs.cr3, sregs.cr4, sregs.efer};
  const CodeSize size = code_size(sregs);
  const bool flat = size == CodeSize::Bits64;
  stack_base_ = flat ? 0 : sregs.ss.base;
  stack_mask_ = flat ? ~std::uint64_t{0} : sregs.ss.db != 0 ? 0xffff'ffffU : 0xffffU;
  std::array<std::byte, kMostInstruction> code{};
  const std::uint64_t linear = flat ? regs.rip : (sregs.cs.base + regs.rip) & 0xffff'ffffU;
  use_ = decode_flag_use(std::span(code).first(memory.read_linear(paging_, linear, code)), size);
  if (use_.kind == FlagUse::Kind::Pop) next_own_ = (image_at(stack(regs.rsp), memory) & kTrapFlag) != 0;
  if (use_.kind == FlagUse::Kind::InterruptReturn) {
    next_own_ = (image_at(stack(regs.rsp + 2U * use_.width), memory) & kTrapFlag) != 0;
  }
  if (use_.kind == FlagUse::Kind::SystemReturn) next_own_ = (regs.r11 & kTrapFlag) != 0;
}

bool StepGuard::settle(kvm_regs& regs, LinearMemory& memory) {
  if (!armed_) return false;
  armed_ = false;
  if (regs.rip == rip_) return false;
  const bool had_own = own_;
  own_ = next_own_;
  const std::uint64_t behind = rip_ + use_.length;
  if (use_.kind == FlagUse::Kind::Push && regs.rip == behind && !had_own) {
    const std::uint64_t image = image_at(stack(regs.rsp), memory);
    if ((image & kTrapFlag) == 0) return false;
    const std::uint64_t clean = image & ~kTrapFlag;
    // A stack that could be written a moment ago can be written now; else there is nobody to tell.
    static_cast<void>(
        memory.write_linear(paging_, stack(regs.rsp), std::as_bytes(std::span(&clean, 1)).first(use_.width)));
    return false;
  }
  if (use_.kind != FlagUse::Kind::SystemCall || regs.rcx != behind) return false;
  if ((mask_.value_or(0) & kTrapFlag) != 0) own_ = false;
  if (had_own || (regs.r11 & kTrapFlag) == 0) return false;
  regs.r11 &= ~kTrapFlag;
  return true;
}

std::uint64_t StepGuard::image_at(std::uint64_t linear, LinearMemory& memory) const {
  std::uint64_t image = 0;
  const auto bytes = std::as_writable_bytes(std::span(&image, 1)).first(use_.width);
  return memory.read_linear(paging_, linear, bytes) == bytes.size() ? image : 0;
}

}  // namespace vmm::debug

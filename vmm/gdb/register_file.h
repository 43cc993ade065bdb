// What a debugger sees of one vCPU, as plain values: no KVM types, so that tests and fuzzers need no KVM.
//
// A file is read and written by groups, because each costs the target a system call of its own: a T packet
// wants General only, `g` everything but Debug.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace vmm::gdb {

/// Which part of a RegisterFile is meant; values combine.
enum class RegisterGroups : std::uint8_t {
  None = 0,
  General = 1,   // general purpose, rip, rflags
  System = 2,    // segments, descriptor tables, control registers, efer, apic_base
  Vector = 4,    // xsave
  Debug = 8,     // dr0–dr7
  Msr = 16,      // msr but for Tsc
  Counter = 32,  // msr[Tsc], which goes on by itself: written only when it is meant
  All = 63,
};
[[nodiscard]] constexpr RegisterGroups operator|(RegisterGroups a, RegisterGroups b) {
  return static_cast<RegisterGroups>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
[[nodiscard]] constexpr bool contains(RegisterGroups all, RegisterGroups one) {
  return (static_cast<unsigned>(all) & static_cast<unsigned>(one)) == static_cast<unsigned>(one);
}

/// Index into RegisterFile::gpr, in gdb's order (i386.core), not in the processor's encoding.
enum class Gpr : std::uint8_t {
  Rax,
  Rbx,
  Rcx,
  Rdx,
  Rsi,
  Rdi,
  Rbp,
  Rsp,
  R8,
  R9,
  R10,
  R11,
  R12,
  R13,
  R14,
  R15
};
inline constexpr std::size_t kGprs = 16;

/// Index into RegisterFile::segments, in gdb's order; the last two are system segments.
enum class Segment : std::uint8_t { Cs, Ss, Ds, Es, Fs, Gs, Tr, Ldtr };
inline constexpr std::size_t kSegments = 8;

/// Index into RegisterFile::msr.
enum class Msr : std::uint8_t { KernelGsBase, Star, Lstar, Cstar, Sfmask, Tsc, Pat };
inline constexpr std::size_t kMsrs = 7;

/// The architectural number of an Msr (SDM vol. 4).
[[nodiscard]] constexpr std::uint32_t msr_number(Msr msr) {
  constexpr std::array<std::uint32_t, kMsrs> kNumbers = {0xc0000102, 0xc0000081, 0xc0000082, 0xc0000083,
                                                         0xc0000084, 0x10,       0x277};
  return kNumbers[static_cast<std::size_t>(msr)];
}

/// `base` is the hidden part the processor uses, not what the selector would load.
struct SegmentRegister {
  std::uint16_t selector = 0;
  std::uint64_t base = 0;
};
struct TableRegister {
  std::uint64_t base = 0;
  std::uint16_t limit = 0;
};

/// Where components lie in the standard (uncompacted) XSAVE area that this guest's CPUID leaf 0xd describes:
/// byte offsets, 0 for a component the guest doesn't have. x87 and SSE are always in the first 512 bytes.
struct XsaveLayout {
  std::size_t avx = 0;        // YMM_Hi128: 16 × 16 bytes (component 2)
  std::size_t opmask = 0;     // k0–k7: 8 × 8 bytes (component 5)
  std::size_t zmm_hi256 = 0;  // ZMM0–15, upper halves: 16 × 32 bytes (component 6)
  std::size_t hi16_zmm = 0;   // ZMM16–31: 16 × 64 bytes (component 7)
  std::size_t pkru = 0;       // 4 bytes (component 9)

  /// AVX-512 counts only whole.
  [[nodiscard]] bool has_avx512() const { return avx != 0 && opmask != 0 && zmm_hi256 != 0 && hi16_zmm != 0; }
};

struct RegisterFile {
  // General
  std::array<std::uint64_t, kGprs> gpr{};
  std::uint64_t rip = 0;
  std::uint64_t rflags = 0;
  // System
  std::array<SegmentRegister, kSegments> segments{};
  TableRegister gdtr;
  TableRegister idtr;
  std::uint64_t cr0 = 0;
  std::uint64_t cr2 = 0;
  std::uint64_t cr3 = 0;
  std::uint64_t cr4 = 0;
  std::uint64_t cr8 = 0;
  std::uint64_t efer = 0;
  std::uint64_t apic_base = 0;
  // Vector: the area as KVM_GET_XSAVE(2) gives it (kvm::XsaveArea). Empty reads as zeros. Whoever changes a
  // component sets its bit of XSTATE_BV too (byte 512).
  std::vector<std::uint32_t> xsave;
  // Debug: dr4 and dr5 are unused. The guest's own values, never the debugger's.
  std::array<std::uint64_t, 8> dr{};
  // Msr
  std::array<std::uint64_t, kMsrs> msr{};

  [[nodiscard]] std::uint64_t& operator[](Gpr which) { return gpr[static_cast<std::size_t>(which)]; }
  [[nodiscard]] std::uint64_t operator[](Gpr which) const { return gpr[static_cast<std::size_t>(which)]; }
  [[nodiscard]] SegmentRegister& operator[](Segment which) {
    return segments[static_cast<std::size_t>(which)];
  }
  [[nodiscard]] const SegmentRegister& operator[](Segment which) const {
    return segments[static_cast<std::size_t>(which)];
  }
  [[nodiscard]] std::uint64_t& operator[](Msr which) { return msr[static_cast<std::size_t>(which)]; }
  [[nodiscard]] std::uint64_t operator[](Msr which) const { return msr[static_cast<std::size_t>(which)]; }
};

}  // namespace vmm::gdb

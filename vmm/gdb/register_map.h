// Every register a debugger sees: its number, its name and type, and where in a RegisterFile it lives.
//
// One list for the life of a connection, in every processor mode (a `g` whose size changes with the mode is
// what "packet reply is too long" comes from). gdb's own features come first, with the registers in the order
// gdb's target descriptions have them; then what uvmm adds, with the names QEMU gave such registers, so that
// scripts find them:
//   org.gnu.gdb.i386.core sse linux segments, and avx avx512 pkeys as the guest's XSAVE has them
//   org.uvmm.x86.system   control registers, bases of segments and tables
//   org.uvmm.x86.extra    debug registers and MSRs, numbered from kFirstExtra on and not in `g`: a target
//   pays
//                         a system call for them
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/gdb/register_file.h"

namespace vmm::gdb {

/// Where a register's bytes are.
enum class RegisterSource : std::uint8_t {
  Gpr,          // index: Gpr
  Rip,          //
  Rflags,       // the lower half
  Selector,     // index: Segment
  SegmentBase,  // index: Segment
  GdtrBase,
  GdtrLimit,
  IdtrBase,
  IdtrLimit,
  Cr0,
  Cr2,
  Cr3,
  Cr4,
  Cr8,
  Efer,
  ApicBase,
  Xsave,          // index: byte offset in the area
  TagWord,        // x87's, in its full form
  XsaveWord,      // index: offset of 16 bits, shown as 32
  FpuOpcode,      // XsaveWord of 11 bits
  AllOnes,        // orig_rax: no system call is under way; writes are taken and forgotten
  DebugRegister,  // index
  MsrValue,       // index: Msr
};

struct RegisterSpec {
  std::string name;
  std::uint16_t bits = 64;
  std::string_view type = "int64";
  std::string_view group;  // gdb's register group, may be empty
  std::string_view feature;
  std::uint16_t number = 0;
  RegisterSource source = RegisterSource::Gpr;
  std::uint16_t index = 0;
  std::uint8_t component = 0;  // Xsave…: the bit of XSTATE_BV that its value belongs to

  [[nodiscard]] std::size_t bytes() const { return bits / 8U; }
  [[nodiscard]] RegisterGroups groups() const;
};

class RegisterMap {
 public:
  static constexpr std::uint16_t kFirstExtra = 256;

  explicit RegisterMap(const XsaveLayout& layout);

  /// In the order of their numbers.
  [[nodiscard]] std::span<const RegisterSpec> all() const { return specs_; }
  /// What `g` and `G` carry: the first ones, without a gap.
  [[nodiscard]] std::span<const RegisterSpec> general() const {
    return std::span(specs_).first(general_count_);
  }
  /// The groups that `g` reads.
  [[nodiscard]] RegisterGroups general_groups() const;
  [[nodiscard]] std::size_t general_bytes() const;
  /// Null for a number that no register has.
  [[nodiscard]] const RegisterSpec* find(std::uint64_t number) const;

 private:
  std::vector<RegisterSpec> specs_;
  std::size_t general_count_ = 0;
};

/// Appends the value, little-endian, spec.bytes() long; zeros where the file's XSAVE area is too short.
void append_register(std::vector<std::byte>& out, const RegisterSpec& spec, const RegisterFile& file);
/// Puts `value`, spec.bytes() long, into the file. Unsupported: a selector that would need a descriptor
/// loaded (in real mode its base follows); Invalid: the XSAVE area is too short.
[[nodiscard]] uvm::Status set_register(const RegisterSpec& spec, std::span<const std::byte> value,
                                       RegisterFile& file);

}  // namespace vmm::gdb

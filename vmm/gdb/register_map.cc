#include "vmm/gdb/register_map.h"

#include <algorithm>
#include <array>

namespace vmm::gdb {
namespace {

constexpr std::string_view kCore = "org.gnu.gdb.i386.core";
constexpr std::string_view kSse = "org.gnu.gdb.i386.sse";
constexpr std::string_view kLinux = "org.gnu.gdb.i386.linux";
constexpr std::string_view kSegmentBases = "org.gnu.gdb.i386.segments";
constexpr std::string_view kAvx = "org.gnu.gdb.i386.avx";
constexpr std::string_view kAvx512 = "org.gnu.gdb.i386.avx512";
constexpr std::string_view kPkeys = "org.gnu.gdb.i386.pkeys";
constexpr std::string_view kSystem = "org.uvmm.x86.system";
constexpr std::string_view kExtra = "org.uvmm.x86.extra";

// Components of XSTATE_BV (SDM vol. 1, 13.1).
constexpr std::uint8_t kX87 = 0;
constexpr std::uint8_t kSseState = 1;
constexpr std::uint8_t kAvxState = 2;
constexpr std::uint8_t kOpmask = 5;
constexpr std::uint8_t kZmmHi256 = 6;
constexpr std::uint8_t kHi16Zmm = 7;
constexpr std::uint8_t kPkru = 9;

// Byte offsets in the legacy region (SDM vol. 1, table 10-2, without REX.W: gdb's fiseg and foseg).
constexpr std::size_t kMxcsr = 24;
constexpr std::size_t kSt0 = 32;
constexpr std::size_t kXmm0 = 160;

/// Appends specs, numbering them as it goes.
class Builder {
 public:
  explicit Builder(std::vector<RegisterSpec>& specs) : specs_(specs) {}

  void feature(std::string_view name) { feature_ = name; }
  void number_from(std::uint16_t number) { number_ = number; }
  RegisterSpec& add(std::string name, RegisterSource source, std::size_t index = 0) {
    RegisterSpec spec;
    spec.name = std::move(name);
    spec.feature = feature_;
    spec.number = number_++;
    spec.source = source;
    spec.index = static_cast<std::uint16_t>(index);
    return specs_.emplace_back(std::move(spec));
  }
  RegisterSpec& add(std::string name, RegisterSource source, std::size_t index, std::uint16_t bits,
                    std::string_view type, std::string_view group = {}) {
    RegisterSpec& spec = add(std::move(name), source, index);
    spec.bits = bits;
    spec.type = type;
    spec.group = group;
    return spec;
  }
  /// `prefix`N`suffix` for N from `first` on, `stride` bytes apart from `offset` on.
  struct Bank {
    std::string_view prefix;
    std::string_view suffix;
    std::size_t first = 0;
    std::size_t count = 0;
    std::size_t offset = 0;
    std::size_t stride = 0;
    std::uint16_t bits = 128;
    std::string_view type;
    std::string_view group;
    std::uint8_t component = 0;
  };
  void add(const Bank& bank) {
    for (std::size_t i = 0; i < bank.count; ++i) {
      std::string name = std::string(bank.prefix) + std::to_string(bank.first + i);
      name += bank.suffix;
      add(std::move(name), RegisterSource::Xsave, bank.offset + i * bank.stride, bank.bits, bank.type,
          bank.group)
          .component = bank.component;
    }
  }

 private:
  std::vector<RegisterSpec>& specs_;
  std::string_view feature_;
  std::uint16_t number_ = 0;
};

void add_core(Builder& to) {
  to.feature(kCore);
  constexpr std::array kGprNames = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp"};
  for (std::size_t i = 0; i < kGprs; ++i) {
    const bool old = i < kGprNames.size();
    const bool stack = i == static_cast<std::size_t>(Gpr::Rbp) || i == static_cast<std::size_t>(Gpr::Rsp);
    to.add(old ? kGprNames[i] : "r" + std::to_string(i), RegisterSource::Gpr, i).type =
        stack ? "data_ptr" : "int64";
  }
  to.add("rip", RegisterSource::Rip).type = "code_ptr";
  to.add("eflags", RegisterSource::Rflags, 0, 32, "i386_eflags");
  constexpr std::array kSelectors = {"cs", "ss", "ds", "es", "fs", "gs"};
  for (std::size_t i = 0; i < kSelectors.size(); ++i)
    to.add(kSelectors[i], RegisterSource::Selector, i, 32, "int32");
  to.add({"st", "", 0, 8, kSt0, 16, 80, "i387_ext", {}, kX87});
  struct Control {
    const char* name;
    RegisterSource source;
    std::size_t offset;
  };
  constexpr std::array kControls = {
      Control{"fctrl", RegisterSource::XsaveWord, 0}, Control{"fstat", RegisterSource::XsaveWord, 2},
      Control{"ftag", RegisterSource::TagWord, 4},    Control{"fiseg", RegisterSource::XsaveWord, 12},
      Control{"fioff", RegisterSource::Xsave, 8},     Control{"foseg", RegisterSource::XsaveWord, 20},
      Control{"fooff", RegisterSource::Xsave, 16},    Control{"fop", RegisterSource::FpuOpcode, 6},
  };
  for (const Control& each : kControls)
    to.add(each.name, each.source, each.offset, 32, "int", "float").component = kX87;
}

void add_vectors(Builder& to, const XsaveLayout& layout) {
  to.feature(kSse);
  to.add({"xmm", "", 0, 16, kXmm0, 16, 128, "vec128", {}, kSseState});
  to.add("mxcsr", RegisterSource::Xsave, kMxcsr, 32, "i386_mxcsr", "vector").component = kSseState;
  to.feature(kLinux);
  to.add("orig_rax", RegisterSource::AllOnes, 0, 64, "int", "system");
  to.feature(kSegmentBases);
  to.add("fs_base", RegisterSource::SegmentBase, static_cast<std::size_t>(Segment::Fs), 64, "int");
  to.add("gs_base", RegisterSource::SegmentBase, static_cast<std::size_t>(Segment::Gs), 64, "int");
  if (layout.avx != 0) {
    to.feature(kAvx);
    to.add({"ymm", "h", 0, 16, layout.avx, 16, 128, "uint128", {}, kAvxState});
  }
  if (layout.has_avx512()) {
    to.feature(kAvx512);
    to.add({"xmm", "", 16, 16, layout.hi16_zmm, 64, 128, "vec128", {}, kHi16Zmm});
    to.add({"ymm", "h", 16, 16, layout.hi16_zmm + 16, 64, 128, "uint128", {}, kHi16Zmm});
    to.add({"k", "", 0, 8, layout.opmask, 8, 64, "uint64", {}, kOpmask});
    to.add({"zmm", "h", 0, 16, layout.zmm_hi256, 32, 256, "v2ui128", {}, kZmmHi256});
    to.add({"zmm", "h", 16, 16, layout.hi16_zmm + 32, 64, 256, "v2ui128", {}, kHi16Zmm});
  }
  if (layout.pkru != 0) {
    to.feature(kPkeys);
    to.add("pkru", RegisterSource::Xsave, layout.pkru, 32, "int32", "general").component = kPkru;
  }
}

void add_system(Builder& to) {
  to.feature(kSystem);
  const auto index = [](auto which) { return static_cast<std::size_t>(which); };
  const auto add = [&to](const char* name, RegisterSource source, std::size_t at = 0,
                         std::string_view type = "int64",
                         std::uint16_t bits = 64) { to.add(name, source, at, bits, type, "system"); };
  add("cs_base", RegisterSource::SegmentBase, index(Segment::Cs));
  add("ss_base", RegisterSource::SegmentBase, index(Segment::Ss));
  add("ds_base", RegisterSource::SegmentBase, index(Segment::Ds));
  add("es_base", RegisterSource::SegmentBase, index(Segment::Es));
  add("k_gs_base", RegisterSource::MsrValue, index(Msr::KernelGsBase));
  add("tr", RegisterSource::Selector, index(Segment::Tr), "int32", 32);
  add("tr_base", RegisterSource::SegmentBase, index(Segment::Tr));
  add("ldtr", RegisterSource::Selector, index(Segment::Ldtr), "int32", 32);
  add("ldtr_base", RegisterSource::SegmentBase, index(Segment::Ldtr));
  add("gdtr_base", RegisterSource::GdtrBase);
  add("gdtr_limit", RegisterSource::GdtrLimit, 0, "int32", 32);
  add("idtr_base", RegisterSource::IdtrBase);
  add("idtr_limit", RegisterSource::IdtrLimit, 0, "int32", 32);
  add("cr0", RegisterSource::Cr0, 0, "x86_cr0");
  add("cr2", RegisterSource::Cr2);
  add("cr3", RegisterSource::Cr3);
  add("cr4", RegisterSource::Cr4, 0, "x86_cr4");
  add("cr8", RegisterSource::Cr8);
  add("efer", RegisterSource::Efer, 0, "x86_efer");
}

void add_extra(Builder& to) {
  to.feature(kExtra);
  to.number_from(RegisterMap::kFirstExtra);
  for (const std::size_t i : {0U, 1U, 2U, 3U, 6U, 7U})
    to.add("dr" + std::to_string(i), RegisterSource::DebugRegister, i, 64, "int64", "system");
  to.add("apic_base", RegisterSource::ApicBase, 0, 64, "int64", "system");
  constexpr std::array kMsrNames = {"star", "lstar", "cstar", "sfmask", "tsc", "pat"};
  for (std::size_t i = 0; i < kMsrNames.size(); ++i)
    to.add(kMsrNames[i], RegisterSource::MsrValue, i + 1, 64, "int64", "system");
}

}  // namespace

RegisterGroups RegisterSpec::groups() const {
  switch (source) {
    case RegisterSource::Gpr:
    case RegisterSource::Rip:
    case RegisterSource::Rflags:
      return RegisterGroups::General;
    case RegisterSource::Selector:
    case RegisterSource::SegmentBase:
    case RegisterSource::GdtrBase:
    case RegisterSource::GdtrLimit:
    case RegisterSource::IdtrBase:
    case RegisterSource::IdtrLimit:
    case RegisterSource::Cr0:
    case RegisterSource::Cr2:
    case RegisterSource::Cr3:
    case RegisterSource::Cr4:
    case RegisterSource::Cr8:
    case RegisterSource::Efer:
    case RegisterSource::ApicBase:
      return RegisterGroups::System;
    case RegisterSource::Xsave:
    case RegisterSource::TagWord:
    case RegisterSource::XsaveWord:
    case RegisterSource::FpuOpcode:
      return RegisterGroups::Vector;
    case RegisterSource::AllOnes:
      return RegisterGroups::None;
    case RegisterSource::DebugRegister:
      return RegisterGroups::Debug;
    case RegisterSource::MsrValue:
      return static_cast<Msr>(index) == Msr::Tsc ? RegisterGroups::Counter : RegisterGroups::Msr;
  }
  return RegisterGroups::None;
}

RegisterMap::RegisterMap(const XsaveLayout& layout) {
  Builder builder(specs_);
  add_core(builder);
  add_vectors(builder, layout);
  add_system(builder);
  general_count_ = specs_.size();
  add_extra(builder);
}

RegisterGroups RegisterMap::general_groups() const {
  RegisterGroups groups = RegisterGroups::None;
  for (const RegisterSpec& each : general()) groups = groups | each.groups();
  return groups;
}

std::size_t RegisterMap::general_bytes() const {
  std::size_t bytes = 0;
  for (const RegisterSpec& each : general()) bytes += each.bytes();
  return bytes;
}

const RegisterSpec* RegisterMap::find(std::uint64_t number) const {
  const auto found = std::ranges::lower_bound(specs_, number, {}, &RegisterSpec::number);
  return found == specs_.end() || found->number != number ? nullptr : &*found;
}

}  // namespace vmm::gdb

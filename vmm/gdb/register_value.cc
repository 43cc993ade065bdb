// One register's bytes, out of a RegisterFile and into it (register_map.h).
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>

#include "vmm/gdb/register_map.h"

namespace vmm::gdb {
namespace {

static_assert(std::endian::native == std::endian::little, "registers travel little-endian");

constexpr std::size_t kXstateBv = 512;  // byte offset of the header's first word
constexpr std::uint64_t kCr0ProtectionEnable = 1;
constexpr std::uint64_t kAllOnes = ~std::uint64_t{0};

/// The 64-bit field behind `spec`, where it is one.
template <class File>
auto* word(const RegisterSpec& spec, File& file) {
  using Word = std::remove_reference_t<decltype((file.rip))>;
  const auto index = static_cast<std::size_t>(spec.index);
  switch (spec.source) {
    case RegisterSource::Gpr:
      return &file.gpr[index];
    case RegisterSource::Rip:
      return &file.rip;
    case RegisterSource::Rflags:
      return &file.rflags;
    case RegisterSource::SegmentBase:
      return &file.segments[index].base;
    case RegisterSource::GdtrBase:
      return &file.gdtr.base;
    case RegisterSource::IdtrBase:
      return &file.idtr.base;
    case RegisterSource::Cr0:
      return &file.cr0;
    case RegisterSource::Cr2:
      return &file.cr2;
    case RegisterSource::Cr3:
      return &file.cr3;
    case RegisterSource::Cr4:
      return &file.cr4;
    case RegisterSource::Cr8:
      return &file.cr8;
    case RegisterSource::Efer:
      return &file.efer;
    case RegisterSource::ApicBase:
      return &file.apic_base;
    case RegisterSource::DebugRegister:
      return &file.dr[index];
    case RegisterSource::MsrValue:
      return &file.msr[index];
    default:
      return static_cast<Word*>(nullptr);
  }
}

/// The 16-bit field behind `spec`, where it is one.
template <class File>
auto* half(const RegisterSpec& spec, File& file) {
  using Half = std::remove_reference_t<decltype((file.gdtr.limit))>;
  switch (spec.source) {
    case RegisterSource::Selector:
      return &file.segments[spec.index].selector;
    case RegisterSource::GdtrLimit:
      return &file.gdtr.limit;
    case RegisterSource::IdtrLimit:
      return &file.idtr.limit;
    default:
      return static_cast<Half*>(nullptr);
  }
}

/// `bytes` of the area at `offset`; empty when it is too short.
template <class File>
auto area(File& file, std::size_t offset, std::size_t bytes) {
  auto whole = [&file] {
    if constexpr (std::is_const_v<File>) {
      return std::as_bytes(std::span(file.xsave));
    } else {
      return std::as_writable_bytes(std::span(file.xsave));
    }
  }();
  return offset + bytes > whole.size() ? decltype(whole)() : whole.subspan(offset, bytes);
}

template <class T>
T load(std::span<const std::byte> bytes) {
  T value{};
  std::ranges::copy(bytes.first(std::min(bytes.size(), sizeof value)),
                    std::as_writable_bytes(std::span(&value, 1)).begin());
  return value;
}

/// The full tag word out of FXSAVE's abridged one (SDM vol. 1, table 10-3): physical register i is st((i -
/// top) & 7).
std::uint32_t full_tags(const RegisterFile& file) {
  const auto legacy = area(file, 0, kXstateBv);
  if (legacy.empty()) return 0xffff;
  const auto top = load<std::uint16_t>(legacy.subspan(2, 2)) >> 11U & 7U;
  const auto present = std::to_integer<unsigned>(legacy[4]);
  std::uint32_t tags = 0;
  for (unsigned i = 0; i < 8; ++i) {
    std::uint32_t tag = 3;  // empty
    if ((present >> i & 1U) != 0) {
      const auto value = legacy.subspan(32 + 16 * ((i - top) & 7U), 10);
      const auto mantissa = load<std::uint64_t>(value.first(8));
      const auto exponent = load<std::uint16_t>(value.subspan(8)) & 0x7fffU;
      const bool normal = exponent != 0 && exponent != 0x7fff && mantissa >> 63U != 0;
      const bool zero = exponent == 0 && mantissa == 0;
      tag = normal ? 0 : zero ? 1 : 2;
    }
    tags |= tag << (2 * i);
  }
  return tags;
}

std::byte abridged_tags(std::uint32_t tags) {
  unsigned present = 0;
  for (unsigned i = 0; i < 8; ++i) present |= (tags >> (2 * i) & 3U) != 3 ? 1U << i : 0;
  return static_cast<std::byte>(present);
}

uvm::Status set_selector(const RegisterSpec& spec, std::uint16_t value, RegisterFile& file) {
  SegmentRegister& segment = file.segments[spec.index];
  if (segment.selector == value) return uvm::ok();
  const bool system = spec.index >= static_cast<std::uint16_t>(Segment::Tr);
  if (system || (file.cr0 & kCr0ProtectionEnable) != 0) {
    return uvm::Error(uvm::ErrorKind::Unsupported,
                      spec.name + " can't be changed: base, limit and rights would not follow",
                      "let the guest load it");
  }
  segment = {value, std::uint64_t{value} << 4U};
  return uvm::ok();
}

uvm::Status set_xsave(const RegisterSpec& spec, std::span<const std::byte> value, RegisterFile& file) {
  const std::size_t bytes = spec.source == RegisterSource::TagWord ? 1
                            : spec.source == RegisterSource::Xsave ? value.size()
                                                                   : 2;
  const auto to = area(file, spec.index, bytes);
  const auto header = area(file, kXstateBv, 8);
  if (to.empty() || header.empty()) {
    return uvm::Error(uvm::ErrorKind::Invalid, spec.name + " is not in this guest's XSAVE area");
  }
  std::array<std::byte, 64> fresh{};
  std::ranges::copy(value.first(bytes), fresh.begin());
  if (spec.source == RegisterSource::TagWord) {
    const auto tags = load<std::uint32_t>(value);
    if (tags == full_tags(file)) return uvm::ok();
    fresh[0] = abridged_tags(tags);
  }
  if (std::memcmp(to.data(), fresh.data(), bytes) == 0) return uvm::ok();
  std::memcpy(to.data(), fresh.data(), bytes);
  auto present = load<std::uint64_t>(header);
  present |= std::uint64_t{1} << spec.component;
  std::memcpy(header.data(), &present, sizeof present);
  return uvm::ok();
}

}  // namespace

void append_register(std::vector<std::byte>& out, const RegisterSpec& spec, const RegisterFile& file) {
  const std::size_t start = out.size();
  out.resize(start + spec.bytes());
  const auto to = std::span(out).subspan(start);
  std::uint64_t value = 0;
  if (const auto* field = word(spec, file)) {
    value = *field;
  } else if (const auto* narrow = half(spec, file)) {
    value = *narrow;
  } else if (spec.source == RegisterSource::AllOnes) {
    value = kAllOnes;
  } else if (spec.source == RegisterSource::TagWord) {
    value = full_tags(file);
  } else if (spec.source == RegisterSource::Xsave) {
    std::ranges::copy(area(file, spec.index, to.size()), to.begin());
    return;
  } else {
    value = load<std::uint16_t>(area(file, spec.index, 2));
    if (spec.source == RegisterSource::FpuOpcode) value &= 0x7ffU;
  }
  std::memcpy(to.data(), &value, std::min(to.size(), sizeof value));
}

uvm::Status set_register(const RegisterSpec& spec, std::span<const std::byte> value, RegisterFile& file) {
  if (spec.source == RegisterSource::AllOnes) return uvm::ok();
  if (auto* field = word(spec, file)) {
    std::memcpy(field, value.data(), std::min(value.size(), sizeof *field));
    return uvm::ok();
  }
  if (auto* narrow = half(spec, file)) {
    const auto fresh = load<std::uint16_t>(value);
    if (spec.source == RegisterSource::Selector) return set_selector(spec, fresh, file);
    *narrow = fresh;
    return uvm::ok();
  }
  return set_xsave(spec, value, file);
}

}  // namespace vmm::gdb

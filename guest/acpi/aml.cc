#include "guest/acpi/aml.h"

#include <utility>

#include "guest/byte_writer.h"

namespace guest::acpi::aml {
namespace {

constexpr std::uint8_t kZeroOp = 0x00;
constexpr std::uint8_t kOneOp = 0x01;
constexpr std::uint8_t kNameOp = 0x08;
constexpr std::uint8_t kBytePrefix = 0x0a;
constexpr std::uint8_t kWordPrefix = 0x0b;
constexpr std::uint8_t kDWordPrefix = 0x0c;
constexpr std::uint8_t kStringPrefix = 0x0d;
constexpr std::uint8_t kQWordPrefix = 0x0e;
constexpr std::uint8_t kScopeOp = 0x10;
constexpr std::uint8_t kBufferOp = 0x11;
constexpr std::uint8_t kPackageOp = 0x12;
constexpr std::uint8_t kMethodOp = 0x14;
constexpr std::uint8_t kExtendedPrefix = 0x5b;
constexpr std::uint8_t kDeviceOp = 0x82;
constexpr std::uint8_t kNotifyOp = 0x86;
constexpr std::uint8_t kOneArgument = 1;  // MethodFlags
constexpr std::uint8_t kSerialized = 1 << 3;
constexpr std::size_t kSegmentCharacters = 4;

std::uint32_t hex_digit(char c) {
  return static_cast<std::uint32_t>(c <= '9' ? c - '0' : c - 'A' + 10);
}

}  // namespace

Aml join(std::initializer_list<Aml> parts) {
  ByteWriter out;
  for (const Aml& part : parts) out.append(part);
  return out.take();
}

Aml path(std::string_view name) {
  ByteWriter out;
  if (name.starts_with('\\')) {
    out.text("\\");
    name.remove_prefix(1);
  }
  out.text(name);
  for (std::size_t i = name.size(); i < kSegmentCharacters; ++i) out.text("_");
  return out.take();
}

Aml integer(std::uint64_t value) {
  ByteWriter out;
  if (value == 0) return out.u8(kZeroOp).take();
  if (value == 1) return out.u8(kOneOp).take();
  if (value <= 0xff) return out.u8(kBytePrefix).u8(value).take();
  if (value <= 0xffff) return out.u8(kWordPrefix).u16(value).take();
  if (value <= 0xffffffff) return out.u8(kDWordPrefix).u32(value).take();
  return out.u8(kQWordPrefix).u64(value).take();
}

Aml string(std::string_view text) {
  return ByteWriter().u8(kStringPrefix).text(text).u8(0).take();
}

Aml eisa_id(std::string_view id) {
  std::uint32_t packed = 0;
  for (std::size_t i = 0; i < 3; ++i) packed = packed << 5 | (static_cast<std::uint32_t>(id[i] - '@') & 0x1f);
  for (std::size_t i = 3; i < 7; ++i) packed = packed << 4 | hex_digit(id[i]);
  return ByteWriter().u8(kDWordPrefix).u32(__builtin_bswap32(packed)).take();
}

Aml with_length(const Aml& bytes) {
  // One byte holds 6 bits; otherwise the first byte holds the low 4 and a count of 1 to 3 following bytes.
  ByteWriter out;
  std::size_t extra = 0;
  while (bytes.size() + 1 + extra > (extra == 0 ? 0x3fu : (std::size_t{1} << (4 + 8 * extra)) - 1)) ++extra;
  const std::size_t length = bytes.size() + 1 + extra;
  if (extra == 0) {
    out.u8(length);
  } else {
    out.u8(extra << 6 | (length & 0xf));
    for (std::size_t i = 0; i < extra; ++i) out.u8(length >> (4 + 8 * i) & 0xff);
  }
  return out.append(bytes).take();
}

Aml buffer(const Aml& bytes) {
  return join({ByteWriter().u8(kBufferOp).take(), with_length(join({integer(bytes.size()), bytes}))});
}

Aml package(std::span<const Aml> elements) {
  ByteWriter body;
  body.u8(elements.size());
  for (const Aml& element : elements) body.append(element);
  return join({ByteWriter().u8(kPackageOp).take(), with_length(body.take())});
}

Aml package(std::initializer_list<Aml> elements) {
  return package(std::span(elements.begin(), elements.size()));
}

Aml name(std::string_view object, const Aml& value) {
  return join({ByteWriter().u8(kNameOp).take(), path(object), value});
}

Aml scope(std::string_view where, const Aml& body) {
  return join({ByteWriter().u8(kScopeOp).take(), with_length(join({path(where), body}))});
}

Aml device(std::string_view object, const Aml& body) {
  return join(
      {ByteWriter().u8(kExtendedPrefix).u8(kDeviceOp).take(), with_length(join({path(object), body}))});
}

Aml method(std::string_view object, const Aml& body) {
  const Aml flags = ByteWriter().u8(kOneArgument | kSerialized).take();
  return join({ByteWriter().u8(kMethodOp).take(), with_length(join({path(object), flags, body}))});
}

Aml notify(std::string_view object, std::uint8_t value) {
  return join({ByteWriter().u8(kNotifyOp).take(), path(object), integer(value)});
}

}  // namespace guest::acpi::aml

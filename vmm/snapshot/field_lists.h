// Fields of more than one number: the kernel's structures, texts, and lists.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "vmm/devices/state.h"

namespace vmm::snapshot {

/// A structure whose layout never changes, with its size, so that one of another size is refused.
template <class T>
void structure(devices::StateFields& fields, T& value, std::string_view name) {
  static_assert(std::is_trivially_copyable_v<T>);
  std::uint32_t size = sizeof(T);
  fields.field(size);
  fields.require(size == sizeof(T), name);
  fields.bytes(std::as_writable_bytes(std::span(&value, 1)));
}

/// Bytes as they are, at most `most`; whoever reads them says what they may be.
inline void text(devices::StateFields& fields, std::string& value, std::size_t most) {
  const auto source = std::as_bytes(std::span(value));
  std::vector<std::byte> bytes(source.begin(), source.end());
  fields.blob(bytes, most);
  value.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

/// At most `most` of them.
template <class T>
void list(devices::StateFields& fields, std::vector<T>& values, std::size_t most, std::string_view name) {
  static_assert(std::is_trivially_copyable_v<T>);
  const auto source = std::as_bytes(std::span(values));
  std::vector<std::byte> bytes(source.begin(), source.end());
  fields.blob(bytes, most * sizeof(T));
  fields.require(bytes.size() % sizeof(T) == 0, name);
  if (!fields.restoring()) return;
  values.resize(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
}

}  // namespace vmm::snapshot

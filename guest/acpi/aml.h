// Just enough AML (ACPI 6.3, chapter 20): objects as encoded bytes, composed by plain function calls, so that
// the DSDT's source reads like ASL.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

namespace guest::acpi::aml {

using Aml = std::vector<std::byte>;

/// The parts one after the other.
[[nodiscard]] Aml join(std::initializer_list<Aml> parts);

/// A name of one to four characters, optionally behind a backslash; short ones are filled with '_'.
[[nodiscard]] Aml path(std::string_view name);

/// The shortest encoding of the value.
[[nodiscard]] Aml integer(std::uint64_t value);
/// ASCII, no NUL inside.
[[nodiscard]] Aml string(std::string_view text);
/// Three capital letters and four hex digits ("PNP0501") packed into 32 bits.
[[nodiscard]] Aml eisa_id(std::string_view id);
[[nodiscard]] Aml buffer(const Aml& bytes);
/// At most 255 elements.
[[nodiscard]] Aml package(std::span<const Aml> elements);
[[nodiscard]] Aml package(std::initializer_list<Aml> elements);

[[nodiscard]] Aml name(std::string_view object, const Aml& value);
[[nodiscard]] Aml scope(std::string_view where, const Aml& body);
[[nodiscard]] Aml device(std::string_view object, const Aml& body);

/// Of one argument, one call at a time.
[[nodiscard]] Aml method(std::string_view object, const Aml& body);
/// Notify(object, value), found from the scope of whoever says it outwards.
[[nodiscard]] Aml notify(std::string_view object, std::uint8_t value);

/// The body of a term list: PkgLength (which counts itself) and `bytes`.
[[nodiscard]] Aml with_length(const Aml& bytes);

}  // namespace guest::acpi::aml

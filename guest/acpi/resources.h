// Resource descriptors (ACPI 6.3, 6.4), the content of _CRS.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "guest/acpi/aml.h"
#include "uvm/base/range.h"

namespace guest::acpi::resources {

using aml::Aml;

/// `ports` ports from `base`, decoded with 16 bits, consumed by the device itself.
[[nodiscard]] Aml io(std::uint16_t base, std::uint8_t ports);
/// ISA interrupt 0–15: edge, active high, not shared.
[[nodiscard]] Aml irq(std::uint8_t number);
/// Any interrupt of the I/O APIC: edge, active high, not shared.
[[nodiscard]] Aml interrupt(std::uint32_t gsi);
/// Memory below 4 GiB, consumed by the device itself.
[[nodiscard]] Aml fixed_memory(std::uint32_t base, std::uint32_t bytes);

/// Windows a bridge passes on; `first` and `last` inclusive.
[[nodiscard]] Aml bus_window(std::uint8_t first, std::uint8_t last);
[[nodiscard]] Aml io_window(std::uint16_t first, std::uint16_t last);
/// 32-bit descriptor; the range is not empty and ends at or below 4 GiB.
[[nodiscard]] Aml memory_window_32(uvm::GpaRange range);
/// 64-bit descriptor; the range is not empty.
[[nodiscard]] Aml memory_window_64(uvm::GpaRange range);

/// Name(_CRS, ResourceTemplate {…}) with its end tag.
[[nodiscard]] Aml current(std::initializer_list<Aml> descriptors);

}  // namespace guest::acpi::resources

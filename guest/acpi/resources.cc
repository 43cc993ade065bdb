#include "guest/acpi/resources.h"

#include "guest/byte_writer.h"

namespace guest::acpi::resources {
namespace {

constexpr std::uint8_t kSmallIrq = 0x22;  // two bytes follow: a mask
constexpr std::uint8_t kSmallIo = 0x47;   // seven bytes follow
constexpr std::uint8_t kSmallEnd = 0x79;  // one byte follows: a checksum, 0 = none
constexpr std::uint8_t kLargeFixedMemory = 0x86;
constexpr std::uint8_t kLargeDWordSpace = 0x87;
constexpr std::uint8_t kLargeWordSpace = 0x88;
constexpr std::uint8_t kLargeInterrupt = 0x89;
constexpr std::uint8_t kLargeQWordSpace = 0x8a;

constexpr std::uint8_t kDecode16 = 1;
constexpr std::uint8_t kReadWrite = 1;
constexpr std::uint8_t kFixedBounds = 0x0c;  // minimum and maximum are fixed; producer; positive decode
constexpr std::uint8_t kEntireIoRange = 3;
constexpr std::uint8_t kConsumerEdge = 3;  // active high and not shared are zeros

enum class Space : std::uint8_t { Memory = 0, Io = 1, Bus = 2 };

/// The common shape of address space descriptors: five fields of type T.
template <class T>
Aml space(std::uint8_t tag, Space type, std::uint8_t flags, std::uint64_t first, std::uint64_t last) {
  ByteWriter out;
  out.u8(tag).u16(3 + 5 * sizeof(T));
  out.u8(static_cast<std::uint8_t>(type)).u8(kFixedBounds).u8(flags);
  out.put(T{0}).put(static_cast<T>(first)).put(static_cast<T>(last));  // granularity, minimum, maximum
  out.put(T{0}).put(static_cast<T>(last - first + 1));                 // translation, length
  return out.take();
}

}  // namespace

Aml io(std::uint16_t base, std::uint8_t ports) {
  return ByteWriter().u8(kSmallIo).u8(kDecode16).u16(base).u16(base).u8(1).u8(ports).take();
}

Aml irq(std::uint8_t number) {
  return ByteWriter().u8(kSmallIrq).u16(std::uint64_t{1} << number).take();
}

Aml interrupt(std::uint32_t gsi) {
  return ByteWriter().u8(kLargeInterrupt).u16(6).u8(kConsumerEdge).u8(1).u32(gsi).take();
}

Aml fixed_memory(std::uint32_t base, std::uint32_t bytes) {
  return ByteWriter().u8(kLargeFixedMemory).u16(9).u8(kReadWrite).u32(base).u32(bytes).take();
}

Aml bus_window(std::uint8_t first, std::uint8_t last) {
  return space<std::uint16_t>(kLargeWordSpace, Space::Bus, 0, first, last);
}

Aml io_window(std::uint16_t first, std::uint16_t last) {
  return space<std::uint16_t>(kLargeWordSpace, Space::Io, kEntireIoRange, first, last);
}

Aml memory_window_32(uvm::GpaRange range) {
  return space<std::uint32_t>(kLargeDWordSpace, Space::Memory, kReadWrite, range.begin().value(),
                              range.end().value() - 1);
}

Aml memory_window_64(uvm::GpaRange range) {
  return space<std::uint64_t>(kLargeQWordSpace, Space::Memory, kReadWrite, range.begin().value(),
                              range.end().value() - 1);
}

Aml current(std::initializer_list<Aml> descriptors) {
  return aml::name("_CRS",
                   aml::buffer(aml::join({aml::join(descriptors), ByteWriter().u8(kSmallEnd).u8(0).take()})));
}

}  // namespace guest::acpi::resources

// The run-time of the long-mode programs: ports, text, arguments. Freestanding, single-threaded unless said.
#pragma once

#include <cstdint>

#include "guest/programs/builtin_info.h"

namespace rt {

using guest::programs::BuiltinInfo;

/// Where the program, its stack and its zeroed data end, page-aligned: RAM from here on is free.
[[nodiscard]] std::uint64_t image_end();

inline void out8(std::uint16_t port, std::uint8_t value) {
  asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}
inline std::uint8_t in8(std::uint16_t port) {
  std::uint8_t value;
  asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
inline void pause() {
  asm volatile("pause" : : : "memory");
}
/// Cycles; not ordered with the loads and stores around it beyond what `volatile` gives.
inline std::uint64_t cycles() {
  std::uint32_t low;
  std::uint32_t high;
  asm volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
  return std::uint64_t{high} << 32 | low;
}

/// Ends the machine: 0 = pass.
[[noreturn]] void finish(std::uint8_t status);

/// One byte to the serial port. Waits for room each 16 bytes, as much as a 16550's FIFO takes.
void put(char c);
void print(const char* text);
void print_number(std::uint64_t value);  // decimal
void print_hex(std::uint64_t value);     // with 0x
/// " name=value", the shape of every figure the programs report.
void print_field(const char* name, std::uint64_t value);

/// The text after "key=" up to the next space, or nullptr. Not terminated: compare with is().
[[nodiscard]] const char* argument(const BuiltinInfo& info, const char* key);
[[nodiscard]] bool is(const char* argument, const char* word);
/// A decimal number with an optional k, m or g suffix; `otherwise` when the key is missing or not a number.
[[nodiscard]] std::uint64_t number(const BuiltinInfo& info, const char* key, std::uint64_t otherwise);

/// Checks what the loader handed over; finishes with 3 when it isn't a BuiltinInfo.
void check(const BuiltinInfo& info);
/// End of the RAM range that holds the program, in bytes, at most the 1 GiB that is mapped one to one.
[[nodiscard]] std::uint64_t low_ram_end(const BuiltinInfo& info);

}  // namespace rt

#include "guest/programs/rt/rt.h"

// The linker script's.
extern "C" const char image_limit[];

namespace rt {

namespace {

constexpr std::uint16_t kLineStatus = guest::programs::kSerialPort + 5;
constexpr std::uint8_t kTransmitterEmpty = 0x20;
constexpr unsigned kFifoBytes = 16;

unsigned fifo_room = 0;

bool is_separator(char c) {
  return c == ' ' || c == '\0';
}

}  // namespace

std::uint64_t image_end() {
  return reinterpret_cast<std::uint64_t>(image_limit);
}

void finish(std::uint8_t status) {
  out8(guest::programs::kExitPort, status);
  for (;;) pause();
}

void put(char c) {
  if (fifo_room == 0) {
    while ((in8(kLineStatus) & kTransmitterEmpty) == 0) pause();
    fifo_room = kFifoBytes;
  }
  --fifo_room;
  out8(guest::programs::kSerialPort, static_cast<std::uint8_t>(c));
}

void print(const char* text) {
  for (; *text != '\0'; ++text) put(*text);
}

void print_number(std::uint64_t value) {
  char digits[20];
  unsigned n = 0;
  do {
    digits[n++] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  while (n != 0) put(digits[--n]);
}

void print_hex(std::uint64_t value) {
  print("0x");
  unsigned shift = 60;
  while (shift != 0 && (value >> shift) == 0) shift -= 4;
  for (;; shift -= 4) {
    put("0123456789abcdef"[(value >> shift) & 15]);
    if (shift == 0) return;
  }
}

void print_field(const char* name, std::uint64_t value) {
  put(' ');
  print(name);
  put('=');
  print_number(value);
}

const char* argument(const BuiltinInfo& info, const char* key) {
  const char* at = info.arguments;
  const char* const end = info.arguments + BuiltinInfo::kMaxArguments;
  while (at < end && *at != '\0') {
    const char* k = key;
    while (at < end && *k != '\0' && *at == *k) ++at, ++k;
    if (*k == '\0' && at < end && *at == '=') return at + 1;
    while (at < end && !is_separator(*at)) ++at;
    while (at < end && *at == ' ') ++at;
  }
  return nullptr;
}

bool is(const char* argument, const char* word) {
  if (argument == nullptr) return false;
  while (*word != '\0' && *argument == *word) ++argument, ++word;
  return *word == '\0' && is_separator(*argument);
}

std::uint64_t number(const BuiltinInfo& info, const char* key, std::uint64_t otherwise) {
  const char* at = argument(info, key);
  if (at == nullptr || *at < '0' || *at > '9') return otherwise;
  std::uint64_t value = 0;
  for (; *at >= '0' && *at <= '9'; ++at) value = value * 10 + static_cast<std::uint64_t>(*at - '0');
  if (*at == 'k') value <<= 10;
  if (*at == 'm') value <<= 20;
  if (*at == 'g') value <<= 30;
  return value;
}

void check(const BuiltinInfo& info) {
  const bool terminated = info.arguments[BuiltinInfo::kMaxArguments - 1] == '\0';
  if (info.magic == BuiltinInfo::kMagic && info.ranges <= BuiltinInfo::kMaxRanges && terminated) return;
  print("not started by a loader of built-in programs\n");
  finish(3);
}

std::uint64_t low_ram_end(const BuiltinInfo& info) {
  constexpr std::uint64_t kIdentityEnd = std::uint64_t{1} << 30;
  for (std::uint32_t i = 0; i < info.ranges; ++i) {
    const std::uint64_t begin = info.ram[i].gpa;
    const std::uint64_t end = begin + info.ram[i].size;
    if (begin <= guest::programs::kLongEntry && image_end() < end)
      return end < kIdentityEnd ? end : kIdentityEnd;
  }
  print("the RAM list does not hold the program itself\n");
  finish(3);
}

}  // namespace rt

/// Called by the exception stubs at CPL 0: no program expects an exception. Status 0x40 + vector.
extern "C" [[noreturn]] void exception_report(std::uint64_t vector, std::uint64_t error, std::uint64_t rip,
                                              std::uint64_t cr2) {
  rt::print("exception");
  rt::print_field("vector", vector);
  rt::print(" error=");
  rt::print_hex(error);
  rt::print(" rip=");
  rt::print_hex(rip);
  rt::print(" cr2=");
  rt::print_hex(cr2);
  rt::put('\n');
  rt::finish(static_cast<std::uint8_t>(0x40 + vector));
}

// The compiler may call these two even in freestanding code.
extern "C" void* memset(void* to, int value, unsigned long bytes) {
  void* at = to;
  asm volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(value) : "memory");
  return to;
}

extern "C" void* memcpy(void* to, const void* from, unsigned long bytes) {
  void* at = to;
  asm volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(bytes) : : "memory");
  return to;
}

// What the benchmarks of private pages share: a guest at CPL3 that writes to each page of some memory for the
// first time and counts cycles.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/support/raw_machine.h"

namespace bench {

/// Ends the program when something it needs cannot be had.
template <class R>
void must(const R& result) {
  if (result) return;
  std::fprintf(stderr, "%s\n", result.error().text().c_str());
  std::exit(1);
}

/// Nanoseconds of this host's clock that a cycle of the guest's counter takes.
inline double nanoseconds_per_cycle() {
  const auto begin = std::chrono::steady_clock::now();
  const std::uint64_t first = __builtin_ia32_rdtsc();
  while (std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(50)) {
  }
  const std::chrono::duration<double, std::nano> passed = std::chrono::steady_clock::now() - begin;
  return passed.count() / static_cast<double>(__builtin_ia32_rdtsc() - first);
}

/// Cycles a page of a guest's first writes to `memory`, which is its RAM; 0 when they went wrong.
inline double first_writes(std::byte* memory, std::uint64_t bytes) {
  test_support::RawMachine::Options options;
  options.memory = bytes;
  options.backing = memory;
  auto machine = test_support::RawMachine::create(options);
  must(machine);
  must((*machine)->load(*guest::programs::find("memwalk"), "mode=touch page=4k"));
  (*machine)->run();
  const std::string serial = (*machine)->serial();
  const auto field = [&serial](const std::string& name) {
    const auto at = serial.find(name + "=");
    return at == std::string::npos ? 0.0 : std::strtod(serial.c_str() + at + name.size() + 1, nullptr);
  };
  const double pages = field("pages");
  return pages > 0 && field("errors") == 0 ? field("first_cycles") / pages : 0.0;
}

}  // namespace bench

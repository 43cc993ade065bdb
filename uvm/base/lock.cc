#include "uvm/base/lock.h"

#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

namespace uvm::lock_order {
namespace {

constexpr std::size_t kMostHeld = 16;
thread_local std::array<int, kMostHeld> held_ranks{};
thread_local std::size_t held_count = 0;

[[noreturn]] void fail(const char* what, int rank) {
  std::fprintf(stderr, "uvmm: lock order: %s rank %d; this thread holds:", what, rank);
  for (std::size_t i = 0; i < held_count; ++i) std::fprintf(stderr, " %d", held_ranks[i]);
  std::fputc('\n', stderr);
  std::abort();
}

}  // namespace

void acquired(LockRank rank) {
  const int value = static_cast<int>(rank);
  for (std::size_t i = 0; i < held_count; ++i) {
    if (held_ranks[i] >= value) fail("taking", value);
  }
  if (held_count == kMostHeld) fail("too many locks before", value);
  held_ranks[held_count++] = value;
}

void acquired_second(LockRank rank) {
  const int value = static_cast<int>(rank);
  if (held_count == 0 || held_ranks[held_count - 1] != value) fail("taking as the second of", value);
  if (held_count == kMostHeld) fail("too many locks before", value);
  held_ranks[held_count++] = value;
}

void released(LockRank rank) {
  const int value = static_cast<int>(rank);
  for (std::size_t i = held_count; i-- > 0;) {
    if (held_ranks[i] != value) continue;
    for (std::size_t j = i + 1; j < held_count; ++j) held_ranks[j - 1] = held_ranks[j];
    --held_count;
    return;
  }
  fail("releasing a lock not held:", value);
}

}  // namespace uvm::lock_order

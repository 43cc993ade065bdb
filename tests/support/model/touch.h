// Loads and stores that may fail: a signal in the middle of one is its answer, and not the end of the test.
// Atomic, and unseen by ThreadSanitizer, as a vCPU's are.
#pragma once

#include <pthread.h>

#include <cstdint>

namespace test::model {

enum class Touched : std::uint8_t {
  Done,
  Faulted,  // SIGSEGV or SIGBUS
  Refused,  // refuse_touch() by another thread
};

[[nodiscard]] Touched touch_load(const std::uint64_t* from, std::uint64_t& value);
[[nodiscard]] Touched touch_store(std::uint64_t* to, std::uint64_t value);

/// Ends the touch that `thread` is in, which may be asleep on an event; nothing when it is in none.
void refuse_touch(pthread_t thread);

}  // namespace test::model

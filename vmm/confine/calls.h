// The system calls that each kind of thread may make, as data.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "vmm/confine/thread_kind.h"

namespace vmm::confine {

/// One argument of a call: (argument & mask) == value.
struct Argument {
  unsigned index = 0;  // 0 is the first
  std::uint64_t mask = 0;
  std::uint64_t value = 0;

  friend bool operator==(const Argument&, const Argument&) = default;
};

/// Refuse: the call is not made, and answers EACCES; the thread goes on.
enum class Verdict : std::uint8_t { Make, Refuse };

/// A call that does not end the process, always or with one of its arguments as said. A call that stands in a
/// list several times may be made in each of these ways.
struct Call {
  int number = 0;
  std::optional<Argument> only;
  Verdict verdict = Verdict::Make;  // Refuse only with an argument

  friend bool operator==(const Call&, const Call&) = default;
};

/// Whether threads that touch guest memory may make io_uring rings: under a memory limit whoever needs a page
/// reads it from swap on a ring of its own.
enum class Rings : std::uint8_t { None, Swap };

/// In no order; `self` is this process.
[[nodiscard]] std::vector<Call> calls_of(ThreadKind kind, Rings rings, pid_t self);

}  // namespace vmm::confine

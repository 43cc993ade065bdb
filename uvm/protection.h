// The small enumerations of the VM system and their algebra.
#pragma once

#include <cstdint>
#include <string>

namespace uvm {

/// Rights of a mapping, a set of bits.
enum class Protection : std::uint8_t {
  None = 0,
  Read = 1,
  Write = 2,
  Execute = 4,
  ReadWrite = 3,
  ReadExecute = 5,
  All = 7,
};

[[nodiscard]] constexpr Protection operator|(Protection a, Protection b) {
  return static_cast<Protection>(static_cast<std::uint8_t>(a) | static_cast<std::uint8_t>(b));
}
[[nodiscard]] constexpr Protection operator&(Protection a, Protection b) {
  return static_cast<Protection>(static_cast<std::uint8_t>(a) & static_cast<std::uint8_t>(b));
}
/// `a` without the rights of `b`.
[[nodiscard]] constexpr Protection without(Protection a, Protection b) {
  return static_cast<Protection>(static_cast<std::uint8_t>(a) & ~static_cast<std::uint8_t>(b));
}
/// Whether `a` holds every right of `b`.
[[nodiscard]] constexpr bool includes(Protection a, Protection b) {
  return (a & b) == b;
}

/// What somebody does to a page.
enum class AccessKind : std::uint8_t { Read, Write, Execute };

[[nodiscard]] constexpr Protection needed(AccessKind access) {
  switch (access) {
    case AccessKind::Read:
      return Protection::Read;
    case AccessKind::Write:
      return Protection::Write;
    case AccessKind::Execute:
      return Protection::Execute;
  }
  return Protection::All;
}

/// What a fault is for.
enum class FaultKind : std::uint8_t {
  Plain,    // an access that is to be repeated
  Wire,     // the page is to be held, as today's protection would have it
  WireMax,  // the page is to be held as the most permissive access the mapping could ever get would have it,
            // so that nothing has to move it later (NetBSD uvm_fault.c, VM_FAULT_WIREMAX, 2001-12-31)
  Peek,     // its bytes are read as max_protection allows; nothing is entered, made or changed
  Poke,     // its bytes are written as max_protection allows, after it was made private; nothing is entered
};

/// Which mappings are wired when a space is wired as a whole (mlockall(2)).
enum class WireScope : std::uint8_t { Current, Future, Both };

/// Whether writes through a mapping reach its object (Shared) or a copy of the page (Private).
enum class Sharing : std::uint8_t { Private, Shared };

/// What a fork of the space does with a mapping (minherit(2)).
enum class Inherit : std::uint8_t { None, Share, Copy, Zero };

/// Expected order of access (madvise(2)); decides how far a fault looks ahead.
enum class Advice : std::uint8_t { Normal, Random, Sequential };

/// "rwx", with '-' for a missing right.
[[nodiscard]] inline std::string to_string(Protection protection) {
  std::string text = "---";
  if (includes(protection, Protection::Read)) text[0] = 'r';
  if (includes(protection, Protection::Write)) text[1] = 'w';
  if (includes(protection, Protection::Execute)) text[2] = 'x';
  return text;
}

[[nodiscard]] constexpr const char* to_string(AccessKind access) {
  switch (access) {
    case AccessKind::Read:
      return "read";
    case AccessKind::Write:
      return "write";
    case AccessKind::Execute:
      return "execute";
  }
  return "?";
}

}  // namespace uvm

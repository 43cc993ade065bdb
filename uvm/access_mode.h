// Against which rights somebody's access to guest memory is held, and how far a write may reach.
#pragma once

#include <cstdint>

#include "uvm/base/error.h"

namespace uvm {

enum class AccessRights : std::uint8_t {
  Current,  // what the mapping allows now: devices, loaders
  Maximum,  // what it could ever allow: debuggers. Reading changes nothing (rule D10); a write makes the page
            // private first, and gives the guest no right that it has not
};

/// What becomes of a write into a shared mapping of an object, which everybody who maps the object sees.
enum class SharedWrites : std::uint8_t { Refuse, Allow };

struct AccessMode {
  AccessRights rights = AccessRights::Current;
  SharedWrites shared = SharedWrites::Allow;
};

/// A debugger that may change this guest only; one that means the shared memory itself.
inline constexpr AccessMode kDebugger{AccessRights::Maximum, SharedWrites::Refuse};
inline constexpr AccessMode kDebuggerShared{AccessRights::Maximum, SharedWrites::Allow};

/// How far a copy came: on an error, `bytes` of it are done, up to the page the error names.
struct [[nodiscard]] Copied {
  std::uint64_t bytes = 0;
  Status status;
};

/// What a private page became that was compared with what it hides.
enum class Reshared : std::uint8_t {
  Dropped,  // it was the same; the guest sees the object's page (or zeros) again
  Kept,     // it differs, is not private, or other spaces hold it too
};

}  // namespace uvm

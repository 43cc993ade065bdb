// Thread ids as packets spell them: `1`, `p1.2`, `-1`, `p1.-1`, `0`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "vmm/gdb/hex.h"
#include "vmm/gdb/target.h"

namespace vmm::gdb {

/// One thread, any, or all; of one process or of all.
struct ThreadSelector {
  static constexpr std::int64_t kAll = -1;
  static constexpr std::int64_t kAny = 0;
  std::int64_t pid = kAny;
  std::int64_t tid = kAny;

  [[nodiscard]] bool names_one() const { return tid > 0; }
  /// All and any match every thread; a plain number (no `p`) means a thread of any process.
  [[nodiscard]] bool matches(ThreadId id) const {
    return (pid <= 0 || pid == id.pid) && (tid <= 0 || tid == id.tid);
  }
};

/// Takes a selector off `scanner`; nothing when none is there, or its numbers make no sense.
[[nodiscard]] std::optional<ThreadSelector> scan_thread(Scanner& scanner);

/// Multiprocess: clients that announced it get `p1.2`, others `2`.
enum class ThreadForm : std::uint8_t { Plain, Multiprocess };
[[nodiscard]] std::string format_thread(ThreadId id, ThreadForm form);

}  // namespace vmm::gdb

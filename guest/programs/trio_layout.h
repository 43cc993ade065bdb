// Where trio.cc meets the others who write the same pages: a device and a debugger.
#pragma once

#include <cstdint>

namespace guest::programs::trio {

inline constexpr std::uint64_t kPages = 16;
inline constexpr std::uint64_t kPageBytes = 4096;
/// The pages, and as many again, which a test may have mapped otherwise.
inline constexpr std::uint64_t kRam = 0x200'0000;
inline constexpr std::uint64_t kOther = 0x220'0000;

inline constexpr std::uint64_t page_at(std::uint64_t number) {
  return number < kPages ? kRam + number * kPageBytes : kOther + (number - kPages) * kPageBytes;
}

/// Every page begins with a word of each writer, which only he writes and only ever raises; they are 64 bytes
/// apart.
enum Writer : std::uint64_t { kGuest, kDevice, kDebugger, kWriters };
inline constexpr std::uint64_t kWordsApart = 8;

/// 64-bit words of the page before the first.
inline constexpr std::uint64_t kControl = kRam - kPageBytes;
inline constexpr std::uint64_t kStop = kControl;        // not 0: the guest checks all once more and ends
inline constexpr std::uint64_t kRounds = kControl + 8;  // what it wrote last; 0: it is not up yet

}  // namespace guest::programs::trio

// Where trio.cc meets the others who write the same pages: a device and a debugger.
#pragma once

#include <cstdint>

namespace guest::programs::trio {

inline constexpr std::uint64_t kPages = 16;
/// The pages, in RAM; and as many in the program's own image, private memory over a file's.
inline constexpr std::uint64_t kRam = 0x200'0000;
inline constexpr std::uint64_t kPageBytes = 4096;

/// Every page begins with a word of each writer, which only he writes and only ever raises; they are 64 bytes
/// apart.
enum Writer : std::uint64_t { kGuest, kDevice, kDebugger, kWriters };
inline constexpr std::uint64_t kWordsApart = 8;

/// 64-bit words of the page before the RAM pages.
inline constexpr std::uint64_t kControl = kRam - kPageBytes;
inline constexpr std::uint64_t kImage = kControl;     // where the image's pages are; not 0: the guest is up
inline constexpr std::uint64_t kStop = kControl + 8;  // not 0: the guest checks all once more and ends
inline constexpr std::uint64_t kRounds = kControl + 16;  // what it wrote last

}  // namespace guest::programs::trio

// Where scribe.cc meets those who write the same pages and tell it what to do: a device, a debugger and a
// model.
#pragma once

#include <cstdint>

#include "guest/programs/mixed.h"

namespace guest::programs::scribe {

inline constexpr std::uint64_t kPageBytes = 4096;
/// Half of the pages follow each other, the others lie apart, so that they are runs of one page.
inline constexpr std::uint64_t kTogether = 256;
inline constexpr std::uint64_t kPages = 2 * kTogether;
inline constexpr std::uint64_t kRam = 0x40'0000;
inline constexpr std::uint64_t kOther = 0x60'0000;
inline constexpr std::uint64_t kApart = 0x8000;  // bytes from one to the next
/// Behind all pages: what it fills at its start and always finds as it was, with ballast=N.
inline constexpr std::uint64_t kBallast = 0x100'0000;

inline constexpr std::uint64_t page_at(std::uint64_t number) {
  return number < kTogether ? kRam + number * kPageBytes : kOther + (number - kTogether) * kApart;
}

/// Every page begins with a word of each writer, which only he writes; they are 512 bytes apart. The rest is
/// 0.
enum Writer : std::uint64_t { kGuest, kDevice, kDebugger, kWriters };
inline constexpr std::uint64_t kWordsApart = 64;

/// 64-bit words of the page before the first.
inline constexpr std::uint64_t kControl = kRam - kPageBytes;
inline constexpr std::uint64_t kTarget = kControl;         // the step it is to come to; it waits there
inline constexpr std::uint64_t kDone = kControl + 8;       // the step it has come to
inline constexpr std::uint64_t kAsk = kControl + 16;       // another number than before: sum up all pages
inline constexpr std::uint64_t kAnswered = kControl + 24;  // the question that kSum answers
inline constexpr std::uint64_t kSum = kControl + 32;

/// In step `step`, counted from 1, the guest's word of this page becomes `step`.
inline constexpr std::uint64_t page_of_step(std::uint64_t step) {
  return mixed(step) % kPages;
}

/// The sum of all pages is this, word by word and page by page, from kFirstSum on.
inline constexpr std::uint64_t kFirstSum = 0xcbf2'9ce4'8422'2325;
inline constexpr std::uint64_t sum_with(std::uint64_t sum, std::uint64_t word) {
  return (sum ^ word) * 0x100'0000'01b3;
}

/// What word `index` of the disk is at first, with `round` 0, and after it was written so often.
inline constexpr std::uint64_t disk_word(std::uint64_t round, std::uint64_t index) {
  return mixed(round << 40 ^ index);
}

}  // namespace guest::programs::scribe

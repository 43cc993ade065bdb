#include "uvm/write_log.h"

#include <array>

namespace uvm {

void WriteLog::start(GpaRange range) {
  const std::size_t words = words_for(range.pages());
  if (!words_) {
    words_ = std::make_unique<std::atomic<std::uint64_t>[]>(words);
    range_ = range;
  }
  for (std::size_t i = 0; i < words; ++i) words_[i].store(0, std::memory_order_relaxed);
  on_.store(true, std::memory_order_release);
}

void WriteLog::add(GpaRange written) noexcept {
  const GpaRange part = written.page_cover().value_or(range_).intersection(range_);
  if (part.empty()) return;
  const std::uint64_t first = (part.begin() - range_.begin()) >> kPageShift;
  each_bit_word(first, first + part.pages(), [this](std::size_t word, std::uint64_t mask) {
    words_[word].fetch_or(mask, std::memory_order_acq_rel);
    return true;
  });
}

void WriteLog::take(PageSet& into) {
  for (std::size_t i = 0; i < words_for(range_.pages()); ++i) {
    if (words_[i].load(std::memory_order_relaxed) == 0) continue;
    const std::array<std::uint64_t, 1> word{words_[i].exchange(0, std::memory_order_acq_rel)};
    into.add(range_.begin() + (i * kWordBits << kPageShift), word);
  }
}

}  // namespace uvm

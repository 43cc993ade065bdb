#include "tests/support/model/process_memory.h"

#include <array>
#include <vector>

#include "uvm/base/range.h"

namespace test::model {
namespace {

namespace scribe = guest::programs::scribe;

constexpr std::uint64_t kWords = scribe::kPageBytes / sizeof(std::uint64_t);

/// By page, the last step up to `done` that wrote it.
std::vector<std::uint64_t> last_steps(std::uint64_t done) {
  std::vector<std::uint64_t> last(scribe::kPages);
  std::uint64_t found = 0;
  for (std::uint64_t step = done; step != 0 && found != scribe::kPages; --step) {
    std::uint64_t& known = last[scribe::page_of_step(step)];
    if (known != 0) continue;
    known = step;
    ++found;
  }
  return last;
}

}  // namespace

std::uint64_t last_step_of(std::uint64_t page, std::uint64_t done) {
  while (done != 0 && scribe::page_of_step(done) != page) --done;
  return done;
}

ProcessMemory::Span ProcessMemory::span(Writer writer, std::uint64_t page) const {
  const auto found = words_.find({writer, page});
  return found != words_.end() ? found->second : Span{};
}

std::optional<std::string> ProcessMemory::compare(std::uint64_t page, const std::uint64_t* words,
                                                  std::uint64_t done) {
  static constexpr std::array kNames{"guest's", "device's", "debugger's"};
  for (std::uint64_t word = 0; word < kWords; ++word) {
    const std::uint64_t is = words[word];
    Span wanted;
    const bool is_known = word % scribe::kWordsApart == 0 && word / scribe::kWordsApart < scribe::kWriters;
    const auto writer = static_cast<Writer>(word / scribe::kWordsApart);
    if (is_known && writer == scribe::kGuest) {
      wanted.low = wanted.high = last_step_of(page, done);
      // It writes first and says so then.
      if (is == done + 1 && done < target_ && scribe::page_of_step(is) == page) continue;
    } else if (is_known) {
      wanted = span(writer, page);
    }
    if (is < wanted.low || is > wanted.high) {
      return "page " + std::to_string(page) + " (" + uvm::hex(scribe::page_at(page)) + "), " +
             (is_known ? std::string("the ") + kNames.at(writer) + " word" : "word " + std::to_string(word)) +
             ": is " + std::to_string(is) + ", should be " + std::to_string(wanted.low) +
             (wanted.low != wanted.high ? " to " + std::to_string(wanted.high) : "");
    }
    if (wanted.low != wanted.high) set(writer, page, is);
  }
  return std::nullopt;
}

std::optional<std::uint64_t> ProcessMemory::sum() const {
  for (const auto& [where, value] : words_) {
    if (value.low != value.high) return std::nullopt;
  }
  const std::vector<std::uint64_t> last = last_steps(target_);
  std::uint64_t sum = scribe::kFirstSum;
  for (std::uint64_t page = 0; page < scribe::kPages; ++page) {
    const std::array<std::uint64_t, scribe::kWriters> known{last[page], span(scribe::kDevice, page).low,
                                                            span(scribe::kDebugger, page).low};
    for (std::uint64_t word = 0; word < kWords; ++word) {
      const std::uint64_t writer = word / scribe::kWordsApart;
      sum =
          scribe::sum_with(sum, word % scribe::kWordsApart == 0 && writer < known.size() ? known[writer] : 0);
    }
  }
  return sum;
}

}  // namespace test::model

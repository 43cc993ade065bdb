// ProcessRunner, second part: looks at machines through their doors.
#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include "tests/support/model/process_runner.h"
#include "uvm/base/range.h"

namespace test::model {
namespace {

namespace scribe = guest::programs::scribe;
using uvm::Error;
using uvm::ErrorKind;
using uvm::Status;

constexpr std::uint64_t kWords = scribe::kPageBytes / sizeof(std::uint64_t);
/// A guest comes to its step in milliseconds.
constexpr std::chrono::seconds kPatience{30};
constexpr std::chrono::milliseconds kGuestsTurn{2};
/// Where the steps meet, and how many of the others are looked at each time.
constexpr std::uint64_t kHot = 24;
constexpr std::uint64_t kOthers = 8;

Error wrong(const std::string& what) {
  return {ErrorKind::Invalid, what};
}

struct Run {
  std::uint64_t page = 0;
  std::uint64_t count = 0;
};

}  // namespace

Status ProcessRunner::check_pages(Member& member, Extent extent) {
  UVMM_TRY(Look look, member.process->look());
  UVMM_TRY(const std::uint64_t target, look.word(scribe::kTarget));
  UVMM_TRY(const std::uint64_t done, look.word(scribe::kDone));
  if (target != member.memory.target() || done > target) {
    return wrong("the guest is at step " + std::to_string(done) + " of " + std::to_string(target) +
                 ", should be of " + std::to_string(member.memory.target()));
  }
  std::vector<Run> runs{{0, extent == Extent::All ? scribe::kTogether : kHot}};
  const std::uint64_t others = extent == Extent::All ? scribe::kPages - scribe::kTogether : kOthers;
  for (std::uint64_t i = 0; i < others; ++i) {
    runs.push_back({extent == Extent::All
                        ? scribe::kTogether + i
                        : guest::programs::mixed(next_probe_ * kOthers + i) % scribe::kPages,
                    1});
  }
  std::vector<std::uint64_t> words;
  for (const Run& run : runs) {
    words.resize(run.count * kWords);
    UVMM_CHECK(look.read(scribe::page_at(run.page), std::as_writable_bytes(std::span(words))));
    for (std::uint64_t i = 0; i < run.count; ++i) {
      const auto difference = member.memory.compare(run.page + i, words.data() + i * kWords, done);
      if (difference) return wrong("a debugger finds at step " + std::to_string(done) + ": " + *difference);
    }
  }
  return check_pins(member, done);
}

Status ProcessRunner::check_pins(Member& member, std::uint64_t done) {
  std::vector<std::uint64_t> words(kWords);
  for (const auto& held : member.process->held()) {
    for (std::uint64_t i = 0; held && i < held->count; ++i) {
      std::ranges::copy(held->pin.bytes().subspan(i * scribe::kPageBytes, scribe::kPageBytes),
                        std::as_writable_bytes(std::span(words)).begin());
      const auto difference = member.memory.compare(held->page + i, words.data(), done);
      if (difference) return wrong("a device finds at step " + std::to_string(done) + ": " + *difference);
    }
  }
  return uvm::ok();
}

Status ProcessRunner::wait_for(const Member& member, std::uint64_t gpa, std::uint64_t value) {
  std::uint64_t is = 0;
  const auto limit = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < limit) {
    {
      UVMM_TRY(Look look, member.process->look());
      UVMM_TRY(is, look.word(gpa));
    }
    if (is == value) return uvm::ok();
    std::this_thread::sleep_for(kGuestsTurn);
  }
  return wrong("the guest does not go on: the word at " + uvm::hex(gpa) + " is " + std::to_string(is) +
               ", not " + std::to_string(value));
}

Status ProcessRunner::check_sum(Member& member) {
  const auto wanted = member.memory.sum();
  if (member.is_paused || !wanted) return uvm::ok();
  UVMM_CHECK(wait_for(member, scribe::kDone, member.memory.target()));
  const std::uint64_t question = next_value_++;
  {
    UVMM_TRY(Look look, member.process->look());
    UVMM_CHECK(look.set_word(scribe::kAsk, question));
  }
  UVMM_CHECK(wait_for(member, scribe::kAnswered, question));
  UVMM_TRY(Look look, member.process->look());
  UVMM_TRY(const std::uint64_t sum, look.word(scribe::kSum));
  return sum == *wanted
             ? uvm::ok()
             : wrong("the guest's sum of all pages at step " + std::to_string(member.memory.target()) +
                     " is " + uvm::hex(sum) + ", should be " + uvm::hex(*wanted));
}

Status ProcessRunner::check(Member& member, Extent extent) {
  UVMM_CHECK(check_pages(member, extent));
  return extent == Extent::All ? check_sum(member) : uvm::ok();
}

Status ProcessRunner::check_all() {
  for (std::size_t i = 0; i < members_.size(); ++i) {
    auto& member = members_.at(i);
    if (!member) continue;
    const std::string whose = "machine " + std::to_string(i);
    if (member->is_paused) {
      if (Status seen = check_pages(*member, Extent::All); !seen)
        return std::move(seen).error().with_context(whose);
      UVMM_CHECK(member->process->ask("resume"));
      member->is_paused = false;
    }
    if (Status seen = check(*member, Extent::All); !seen) return std::move(seen).error().with_context(whose);
  }
  return uvm::ok();
}

std::string ProcessRunner::outputs() const {
  std::string text;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const std::string said =
        members_.at(i) && members_.at(i)->process ? members_.at(i)->process->output() : "";
    if (!said.empty()) text += "machine " + std::to_string(i) + " said: " + said + "\n";
  }
  return text;
}

}  // namespace test::model

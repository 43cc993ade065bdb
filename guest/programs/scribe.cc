// Writes where a model can say what it has written: step by step up to the step that a word of memory names,
// and sums up all that it sees when another word changes. Others write other words of the same pages.
//
//   ballast=N     so many bytes more, filled at the start and compared with every sum (default: none)
//   disk=read     reads its disk and compares, again and again
//   disk=write    writes it anew too, each time with other words
//
// Ends with 1 when its own words or the disk's are not what was written, and as rt/disk.h says.
#include "guest/programs/rt/disk.h"
#include "guest/programs/rt/rt.h"
#include "guest/programs/scribe_layout.h"

namespace {

namespace scribe = guest::programs::scribe;

constexpr std::uint64_t kWords = scribe::kPageBytes / sizeof(std::uint64_t);

std::uint64_t written[scribe::kPages];

volatile std::uint64_t& word_at(std::uint64_t address) {
  return *reinterpret_cast<volatile std::uint64_t*>(address);
}

[[noreturn]] void fail(const char* what, std::uint64_t address, std::uint64_t was, std::uint64_t is) {
  rt::print("scribe: ");
  rt::print(what);
  rt::print_field("address", address);
  rt::print_field("was", was);
  rt::print_field("is", is);
  rt::put('\n');
  rt::finish(1);
}

void write(std::uint64_t step) {
  const std::uint64_t number = scribe::page_of_step(step);
  const std::uint64_t address = scribe::page_at(number);
  if (word_at(address) != written[number])
    fail("a word of its own", address, written[number], word_at(address));
  word_at(address) = step;
  written[number] = step;
  word_at(scribe::kDone) = step;
}

std::uint64_t sum() {
  std::uint64_t sum = scribe::kFirstSum;
  for (std::uint64_t number = 0; number < scribe::kPages; ++number) {
    const std::uint64_t address = scribe::page_at(number);
    for (std::uint64_t word = 0; word < kWords; ++word)
      sum = scribe::sum_with(sum, word_at(address + word * 8));
  }
  return sum;
}

void check_ballast(std::uint64_t bytes) {
  for (std::uint64_t at = scribe::kBallast; at < scribe::kBallast + bytes; at += scribe::kPageBytes) {
    if (word_at(at) != guest::programs::mixed(at))
      fail("ballast", at, guest::programs::mixed(at), word_at(at));
  }
}

/// Works on the disk piece by piece, each time it is asked to.
class Stirrer {
 public:
  Stirrer(const rt::Disk& disk, bool writes) : disk_(disk), writes_(writes), bytes_(disk_.bytes()) {}

  void stir() {
    disk_.move(rt::Direction::Read, offset_, rt::kChunk);
    for (std::uint64_t i = 0; i < rt::kChunk / 8; ++i) {
      const std::uint64_t wanted = scribe::disk_word(round_, offset_ / 8 + i);
      if (rt::Disk::data()[i] != wanted) fail("disk", offset_ + i * 8, wanted, rt::Disk::data()[i]);
    }
    if (writes_) {
      for (std::uint64_t i = 0; i < rt::kChunk / 8; ++i) {
        rt::Disk::data()[i] = scribe::disk_word(round_ + 1, offset_ / 8 + i);
      }
      disk_.move(rt::Direction::Write, offset_, rt::kChunk);
    }
    offset_ += rt::kChunk;
    if (offset_ < bytes_) return;
    offset_ = 0;
    if (writes_) ++round_;
  }

 private:
  rt::Disk disk_;
  const bool writes_;
  const std::uint64_t bytes_;
  std::uint64_t offset_ = 0;
  std::uint64_t round_ = 0;
};

[[noreturn]] void work(std::uint64_t ballast, Stirrer* stirrer) {
  constexpr std::uint64_t kStepsAtOnce = 4096;
  for (std::uint64_t step = 0;;) {
    const bool is_due = step != word_at(scribe::kTarget);
    if (is_due) write(++step);
    const std::uint64_t question = word_at(scribe::kAsk);
    if (question != word_at(scribe::kAnswered)) {
      check_ballast(ballast);
      word_at(scribe::kSum) = sum();
      word_at(scribe::kAnswered) = question;
    }
    if (stirrer != nullptr && (!is_due || step % kStepsAtOnce == 0)) stirrer->stir();
    rt::pause();
  }
}

}  // namespace

extern "C" void user_main(const rt::BuiltinInfo* info) {
  rt::check(*info);
  const std::uint64_t ballast = rt::number(*info, "ballast", 0);
  if (rt::low_ram_end(*info) < scribe::kBallast + ballast) {
    rt::print("scribe: not enough RAM\n");
    rt::finish(3);
  }
  for (std::uint64_t at = scribe::kBallast; at < scribe::kBallast + ballast; at += scribe::kPageBytes) {
    word_at(at) = guest::programs::mixed(at);
  }
  const char* disk = rt::argument(*info, "disk");
  if (disk == nullptr) work(ballast, nullptr);
  Stirrer stirrer(rt::Disk::find(scribe::kControl), rt::is(disk, "write"));
  work(ballast, &stirrer);
}

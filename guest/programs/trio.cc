// One of three who write the same pages: the guest. Each raises a word of his own in every page and looks at
// the words of the others, which may never fall. Ends with 1 when one did, or when its own was changed.
#include "guest/programs/rt/rt.h"
#include "guest/programs/trio_layout.h"

namespace {

namespace trio = guest::programs::trio;

alignas(trio::kPageBytes) std::uint64_t image[trio::kPages * trio::kPageBytes / 8] = {
    1};  // not zeros: in the file

std::uint64_t seen[2 * trio::kPages][trio::kWriters];

volatile std::uint64_t& word_at(std::uint64_t address) {
  return *reinterpret_cast<volatile std::uint64_t*>(address);
}

std::uint64_t page(std::uint64_t number) {
  const std::uint64_t base = number < trio::kPages
                                 ? trio::kRam
                                 : reinterpret_cast<std::uint64_t>(image) - trio::kPages * trio::kPageBytes;
  return base + number * trio::kPageBytes;
}

void check(std::uint64_t number) {
  for (std::uint64_t who = 0; who < trio::kWriters; ++who) {
    const std::uint64_t value = word_at(page(number) + who * trio::kWordsApart * 8);
    if (value < seen[number][who] || (who == trio::kGuest && value != seen[number][who])) {
      rt::print("trio:");
      rt::print_field("page", page(number));
      rt::print_field("writer", who);
      rt::print_field("was", seen[number][who]);
      rt::print_field("is", value);
      rt::put('\n');
      rt::finish(1);
    }
    seen[number][who] = value;
  }
}

}  // namespace

extern "C" void user_main(const rt::BuiltinInfo* info) {
  rt::check(*info);
  image[0] = 0;
  word_at(trio::kImage) = reinterpret_cast<std::uint64_t>(image);
  for (std::uint64_t round = 1;; ++round) {
    const bool last = word_at(trio::kStop) != 0;
    for (std::uint64_t number = 0; number < 2 * trio::kPages; ++number) {
      check(number);
      word_at(page(number)) = round;
      seen[number][trio::kGuest] = round;
      check(number);
    }
    word_at(trio::kRounds) = round;
    if (last) break;
  }
  rt::finish(0);
}

// One of three who write the same pages: the guest. Each raises a word of his own in every page and looks at
// the words of the others, which may never fall. Ends with 1 when one did, or when its own was changed.
#include "guest/programs/rt/rt.h"
#include "guest/programs/trio_layout.h"

namespace {

namespace trio = guest::programs::trio;

std::uint64_t seen[2 * trio::kPages][trio::kWriters];

volatile std::uint64_t& word_at(std::uint64_t address) {
  return *reinterpret_cast<volatile std::uint64_t*>(address);
}

void check(std::uint64_t number) {
  for (std::uint64_t who = 0; who < trio::kWriters; ++who) {
    const std::uint64_t value = word_at(trio::page_at(number) + who * trio::kWordsApart * 8);
    if (value < seen[number][who] || (who == trio::kGuest && value != seen[number][who])) {
      rt::print("trio:");
      rt::print_field("page", trio::page_at(number));
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
  for (std::uint64_t round = 1;; ++round) {
    const bool last = word_at(trio::kStop) != 0;
    for (std::uint64_t number = 0; number < 2 * trio::kPages; ++number) {
      check(number);
      word_at(trio::page_at(number)) = round;
      seen[number][trio::kGuest] = round;
      check(number);
    }
    word_at(trio::kRounds) = round;
    if (last) break;
  }
  rt::finish(0);
}

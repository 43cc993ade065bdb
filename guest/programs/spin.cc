// Never ends, never exits: for pausing, signals and time slices. Counts in RAM, so that a watcher sees it
// run.
#include "guest/programs/rt/rt.h"

extern "C" void user_main(const rt::BuiltinInfo* info) {
  rt::check(*info);
  rt::print("spinning\n");
  auto* counter = reinterpret_cast<volatile std::uint64_t*>(guest::programs::kSpinCounterGpa);
  for (std::uint64_t n = 1;; ++n) *counter = n;
}

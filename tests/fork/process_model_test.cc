// Random sequences of all that can happen to machines that are processes: what each of them has in memory is
// what a model says, whoever looks.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/kvm_machine.h"
#include "tests/support/model/process_runner.h"
#include "tests/support/model/process_step.h"
#include "tests/support/model/shrink.h"
#include "tests/support/patterns.h"
#include "tests/support/places.h"
#include "tests/support/temp_folder.h"

namespace test {
namespace process_model_test {

using model::Act;

using model::ProcessStep;
using model::Shape;

constexpr std::size_t kSequence = 120;
/// How often a shorter sequence may come to a good end before it counts as one that does not fail.
constexpr int kTries = 2;

/// How many steps of each kind were done.
using Counts = std::array<std::size_t, model::kActs>;

std::string difference(const std::vector<ProcessStep>& steps, Counts* counts = nullptr) {
  const RunFolder folder("process-model");
  model::ProcessRunner runner(test::uvmm_path(), folder.path());
  const auto found = runner.run(steps);
  for (std::size_t act = 0; counts != nullptr && act < counts->size(); ++act) {
    counts->at(act) += runner.done(static_cast<Act>(act));
  }
  return found.value_or("");
}

void print(const Counts& counts) {
  for (std::size_t act = 0; act < counts.size(); ++act) {
    std::printf("%s%s %zu", act == 0 ? "done: " : ", ", to_string(static_cast<Act>(act)), counts.at(act));
  }
  std::printf("\n");
}

/// UVMM_MODEL_STEPS; or so many that it takes less than a minute, or less than an hour.
std::size_t wanted_steps() {
  if (const char* given = std::getenv("UVMM_MODEL_STEPS")) return std::strtoull(given, nullptr, 0);
  return std::getenv("UVMM_LONG_TESTS") == nullptr ? 4 * kSequence : 150 * kSequence;
}

TEST(ProcessModel, RandomSequencesGiveWhatTheModelGives) {
  UVMM_REQUIRE_KVM();
  const std::uint64_t seed = test_seed();
  const std::size_t wanted = wanted_steps();
  std::size_t done = 0;
  Counts counts{};
  for (std::uint64_t round = 0; done < wanted; ++round) {
    const auto steps = model::generate_process_steps(seed + round, std::min(kSequence, wanted - done));
    done += steps.size();
    const std::string first = difference(steps, &counts);
    if (first.empty()) continue;
    std::printf("UVMM_TEST_SEED=%llu: %s\nlooking for a shorter sequence\n",
                static_cast<unsigned long long>(seed + round), first.c_str());
    std::fflush(stdout);
    std::string last = first;
    const auto fewest = model::shrunk(steps, [&](const std::vector<ProcessStep>& fewer) {
      for (int i = 0; i < kTries; ++i) {
        const std::string found = difference(fewer);
        if (found.empty()) continue;
        last = found;
        return true;
      }
      return false;
    });
    ADD_FAILURE() << "UVMM_TEST_SEED=" << seed + round << " UVMM_MODEL_STEPS=" << steps.size() << ": "
                  << fewest.size() << " steps of them are enough:\n"
                  << to_code(fewest) << last;
    return;
  }
  print(counts);
}

void expect_no_difference(const std::vector<ProcessStep>& steps) {
  UVMM_REQUIRE_KVM();
  EXPECT_EQ(difference(steps), "");
}

// Found at random: its memory was mapped from the file, and the first page that was written ended it.
TEST(ProcessModel, ASnapshotIsRestoredWithinAMemoryLimit) {
  expect_no_difference({
      {.act = Act::Start, .shape = Shape::Shared},
      {.act = Act::Write, .count = 181},
      {.act = Act::Check},
      {.act = Act::Save},
      {.act = Act::Restore, .machine = 1, .shape = Shape::Limited},
      {.act = Act::Write, .machine = 1, .count = 207},
      {.act = Act::Check, .machine = 1},
  });
}

}  // namespace process_model_test
}  // namespace test

// T16: every translation can be dropped at any moment and nobody can tell (property P0).
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <thread>

#include "tests/uvm/fixture.h"

namespace test {
namespace acceptance_t16_test {

using AcceptanceT16 = SpaceFixture;

/// Writes and checks random words of every n-th page, which nobody else touches.
void work(uvm::Space& space, SimMmu& mmu, std::uint64_t first, std::uint64_t step, std::uint64_t seed) {
  SimCpu cpu(space, mmu);
  std::mt19937_64 random(seed);
  std::map<std::uint64_t, std::uint64_t> words;
  for (int i = 0; i < 3000; ++i) {
    if (random() % 64 == 0) space.drop_translations();
    const std::uint64_t at = (first + step * (random() % 32)) * kPage + 8 * (random() % (kPage / 8));
    const auto known = words.find(at);
    if (known != words.end()) {
      const auto seen = cpu.load(uvm::Gpa(at));
      ASSERT_TRUE(is_ok(seen));
      ASSERT_EQ(*seen, known->second) << "at " << uvm::hex(at);
    }
    if (known == words.end() || random() % 2 == 0) {
      const std::uint64_t value = random();
      ASSERT_TRUE(is_ok(cpu.store(uvm::Gpa(at), value)));
      words[at] = value;
    }
  }
}

TEST_F(AcceptanceT16, DroppingEverythingAtRandomMomentsChangesNothing) {
  const std::uint64_t seed = test_seed();
  EXPECT_OK(space.map(ram(pages(0, 32))));
  EXPECT_OK(space.map(over(pages(32, 32), object(32))));
  EXPECT_OK(space.map(over(pages(64, 32), object(32), uvm::Sharing::Shared)));
  std::atomic<bool> done{false};
  std::thread dropper([&] {
    while (!done) {
      space.drop_translations();
      std::this_thread::yield();
    }
  });
  std::thread other([&] { work(space, guest.mmu, 1, 3, seed + 1); });
  work(space, guest.mmu, 0, 3, seed);
  other.join();
  done = true;
  dropper.join();
  EXPECT_GT(space.statistics().faults, 10U);
}

}  // namespace acceptance_t16_test
}  // namespace test

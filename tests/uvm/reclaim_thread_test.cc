// Many threads on one space under a memory limit. For ThreadSanitizer and the lock order as much as for
// bytes.
#include <atomic>
#include <random>
#include <thread>

#include "tests/uvm/reclaim_fixture.h"
#include "uvm/reclaim.h"

namespace test {
namespace reclaim_thread_test {

constexpr std::uint64_t kPagesEach = 96;
constexpr int kRounds = 400;

class ReclaimThreadTest : public ReclaimFixture {
 protected:
  /// A vCPU that owns every `workers`-th page from `first` on, so that neighbours in a cluster are others'.
  void work(std::uint64_t first, std::uint64_t workers, std::uint64_t seed) {
    SimCpu cpu(space, guest.mmu);
    std::mt19937_64 random(seed);
    std::vector<std::uint64_t> expected(kPagesEach, 0);
    for (int round = 0; round < kRounds; ++round) {
      const std::uint64_t which = random() % kPagesEach;
      const uvm::Gpa at = page(first + which * workers) + 8 * (random() % 512);
      const uvm::Gpa home = page(first + which * workers);
      const auto found = cpu.load(home);
      ASSERT_TRUE(is_ok(found));
      ASSERT_EQ(*found, expected[which]) << "page " << home.page();
      expected[which] = random();
      ASSERT_TRUE(is_ok(cpu.store(home, expected[which])));
      if (at == home) continue;
      ASSERT_TRUE(is_ok(cpu.store(at, random())));
    }
    for (std::uint64_t which = 0; which < kPagesEach; ++which) {
      const auto found = cpu.load(page(first + which * workers));
      ASSERT_TRUE(is_ok(found));
      ASSERT_EQ(*found, expected[which]);
    }
  }
  void pin_and_write(std::uint64_t first, std::uint64_t seed) {
    const auto owner = uvm::PinOwner::create("dma");
    std::mt19937_64 random(seed);
    std::uint64_t expected = 0;
    for (int round = 0; round < kRounds / 4; ++round) {
      auto pin = uvm::Pin::create(space, pages(first, 3), uvm::PinAccess::Write, owner);
      ASSERT_TRUE(is_ok(pin));
      auto* word = reinterpret_cast<std::uint64_t*>(bytes_of(pin->frame_at(page(first + 1))).data());
      ASSERT_EQ(*word, expected);
      *word = expected = random();
    }
  }
  void drop_and_reclaim(const std::atomic<bool>& stop) {
    while (!stop) {
      EXPECT_OK(space.reclaim(16 * kPage));
      space.drop_translations();
      std::this_thread::yield();
    }
  }
};

TEST_F(ReclaimThreadTest, FaultsReclaimAndPinsSideBySide) {
  const std::uint64_t seed = test_seed();
  std::atomic<bool> stop = false;
  std::thread daemon([&] { drop_and_reclaim(stop); });
  std::vector<std::thread> workers;
  workers.reserve(5);
  for (std::uint64_t i = 0; i < 4; ++i) workers.emplace_back([&, i] { work(i, 4, seed + i); });
  workers.emplace_back([&] { pin_and_write(500, seed + 9); });
  for (std::thread& worker : workers) worker.join();
  stop = true;
  daemon.join();
  const auto seen = space.reclaim_statistics();
  EXPECT_EQ(seen.reserved, 0U);
  EXPECT_LE(seen.resident, seen.limit);
  EXPECT_GT(seen.outs, 0U);
}

TEST_F(ReclaimThreadTest, LittleRoomForMany) {
  EXPECT_OK(space.set_limit({uvm::kLeastMemoryLimit, &swap, {}}));
  const std::uint64_t seed = test_seed();
  std::vector<std::thread> workers;
  workers.reserve(4);
  for (std::uint64_t i = 0; i < 4; ++i) workers.emplace_back([&, i] { work(i, 4, seed + i); });
  for (std::thread& worker : workers) worker.join();
  EXPECT_LE(resident() * kPage, uvm::kLeastMemoryLimit);
}

TEST_F(ReclaimThreadTest, ForksAndUnmapsWhilePagesMove) {
  const std::uint64_t seed = test_seed();
  std::atomic<bool> stop = false;
  std::thread daemon([&] { drop_and_reclaim(stop); });
  std::vector<std::thread> workers;
  workers.reserve(2);
  for (std::uint64_t i = 0; i < 2; ++i) workers.emplace_back([&, i] { work(i, 2, seed + i); });
  for (int round = 0; round < 20; ++round) {
    EXPECT_OK(space.map(ram(pages(2000, 40), "short")));
    for (std::uint64_t n = 0; n < 40; ++n) guest.write_pattern(2000 + n, seed + n);
    expect_pages(2000, 40, seed - 2000);
    { const Guest child(arena, "child", guest); }
    EXPECT_OK(space.unmap(pages(2000, 40)));
  }
  for (std::thread& worker : workers) worker.join();
  stop = true;
  daemon.join();
}

}  // namespace reclaim_thread_test
}  // namespace test

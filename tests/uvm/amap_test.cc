#include "uvm/amap.h"

#include <gtest/gtest.h>

#include <memory>
#include <new>
#include <vector>

#include "tests/support/alloc_fault.h"
#include "tests/support/fake_swap.h"
#include "tests/uvm/fixture.h"

namespace uvm {
namespace amap_test {

class AmapTest : public ::testing::Test {
 protected:
  ~AmapTest() override {
    const MutexLock lock(amap->lock());
    amap->drop_range({0, ~std::uint64_t{0}}, mmu);
  }
  Anon anon() { return Anon(mmu.promote({Gpa(0), std::nullopt, Placement::Shareable}).value()); }

  test::SimArena arena;
  test::SimMmu mmu{1 << 20, &arena};
  std::shared_ptr<Amap> amap = std::make_shared<Amap>();
};

TEST_F(AmapTest, HoldsAnonsInSlots) {
  const MutexLock lock(amap->lock());
  EXPECT_FALSE(amap->find(7));
  const Anon a = anon();
  amap->put(7, a, mmu);
  EXPECT_EQ(amap->find(7), a);
  EXPECT_TRUE(amap->is_mine_alone(7));
  EXPECT_FALSE(amap->is_mine_alone(8));
  EXPECT_TRUE(amap->drop(7, mmu));
  EXPECT_FALSE(amap->drop(7, mmu));
  EXPECT_EQ(arena.live(), 0U);
}

TEST_F(AmapTest, PuttingReplacesAndReleases) {
  const MutexLock lock(amap->lock());
  amap->put(1, anon(), mmu);
  amap->put(1, anon(), mmu);
  EXPECT_EQ(arena.live(), 1U);
  EXPECT_EQ(amap->used({0, 10}), 1U);
}

TEST_F(AmapTest, FindsNeighboursAcrossChunks) {
  const MutexLock lock(amap->lock());
  for (const std::uint64_t slot : {std::uint64_t{3}, kSlotsPerChunk + 5, 9 * kSlotsPerChunk}) {
    amap->put(slot, anon(), mmu);
  }
  const std::uint64_t far = std::uint64_t{1} << 40;
  EXPECT_EQ(amap->first_used({0, far}), 3U);
  EXPECT_EQ(amap->first_used({4, far}), kSlotsPerChunk + 5);
  EXPECT_EQ(amap->first_used({4, kSlotsPerChunk + 5}), std::nullopt);
  EXPECT_EQ(amap->last_used({0, far}), 9 * kSlotsPerChunk);
  EXPECT_EQ(amap->last_used({0, 9 * kSlotsPerChunk}), kSlotsPerChunk + 5);
  EXPECT_EQ(amap->last_used({4, kSlotsPerChunk + 5}), std::nullopt);
  EXPECT_EQ(amap->last_used({3, 4}), 3U);
  EXPECT_EQ(amap->used({0, far}), 3U);
  EXPECT_EQ(amap->used({3, kSlotsPerChunk + 5}), 1U);
}

TEST_F(AmapTest, DropsRanges) {
  const MutexLock lock(amap->lock());
  for (std::uint64_t slot = 0; slot < 3 * kSlotsPerChunk; slot += 100) amap->put(slot, anon(), mmu);
  amap->drop_range({50, 2 * kSlotsPerChunk + 1}, mmu);
  EXPECT_EQ(amap->used({0, 50}), 1U);
  EXPECT_EQ(amap->first_used({1, 3 * kSlotsPerChunk}), 2100U);
  EXPECT_EQ(arena.live(), amap->used({0, 3 * kSlotsPerChunk}));
}

TEST_F(AmapTest, ACopySharesUntilOneChanges) {
  std::shared_ptr<Amap> twin;
  const Anon first = anon();
  {
    const MutexLock lock(amap->lock());
    amap->put(0, first, mmu);
    amap->put(1, anon(), mmu);
    amap->put(kSlotsPerChunk, anon(), mmu);
    twin = amap->copy({0, 2 * kSlotsPerChunk}, mmu);
    EXPECT_FALSE(amap->is_mine_alone(0));
    EXPECT_EQ(arena.live(), 3U) << "a copy makes no pages";
  }
  {
    const MutexLock lock(twin->lock());
    EXPECT_EQ(twin->find(0), first);
    twin->put(0, anon(), mmu);
    EXPECT_TRUE(twin->is_mine_alone(0));
    EXPECT_FALSE(twin->is_mine_alone(1));
  }
  {
    const MutexLock lock(amap->lock());
    EXPECT_EQ(amap->find(0), first) << "the original does not see the change";
    EXPECT_TRUE(amap->is_mine_alone(0));
    EXPECT_FALSE(amap->is_mine_alone(1));
  }
  const MutexLock lock(twin->lock());
  twin->drop_range({0, 2 * kSlotsPerChunk}, mmu);
  EXPECT_EQ(arena.live(), 3U);
}

TEST_F(AmapTest, ACopyOfAPartHoldsThePart) {
  std::shared_ptr<Amap> twin;
  {
    const MutexLock lock(amap->lock());
    for (std::uint64_t slot = 0; slot < 10; ++slot) amap->put(slot, anon(), mmu);
    twin = amap->copy({4, 6}, mmu);
    EXPECT_TRUE(amap->is_mine_alone(3));
    EXPECT_FALSE(amap->is_mine_alone(4));
  }
  const MutexLock lock(twin->lock());
  EXPECT_EQ(twin->used({0, kSlotsPerChunk}), 2U);
  EXPECT_FALSE(twin->find(3));
  twin->drop_range({0, 10}, mmu);
}

TEST_F(AmapTest, AnUntouchedTerabyteCostsNothing) {
  const MutexLock lock(amap->lock());
  const std::uint64_t empty = amap->metadata_bytes();
  EXPECT_LT(empty, 512U);
  amap->put((std::uint64_t{1} << 40) / test::kPage, anon(), mmu);
  EXPECT_LT(amap->metadata_bytes() - empty, 8 * kSlotsPerChunk + 512);
}

TEST_F(AmapTest, AFullChunkCostsNoMoreThanItsSlots) {
  const MutexLock lock(amap->lock());
  amap->put(0, anon(), mmu);
  const std::uint64_t one = amap->metadata_bytes();
  for (std::uint64_t slot = 1; slot < kSlotsPerChunk; ++slot) amap->put(slot, anon(), mmu);
  EXPECT_EQ(amap->metadata_bytes(), one);
}

TEST_F(AmapTest, OneChunkNamesFramesOfManyStores) {
  const MutexLock lock(amap->lock());
  constexpr std::uint64_t kStores = 40;
  std::vector<std::unique_ptr<test::FakeSwap>> areas;
  const std::vector<std::byte> bytes(test::kPage);
  std::vector<Frame> frames;
  for (std::uint64_t slot = 0; slot < kStores; ++slot) {
    areas.push_back(std::make_unique<test::FakeSwap>());
    // Index 0 and others, so that neither part of a name is all there is to it.
    if (slot % 2 == 1) {
      EXPECT_TRUE(areas.back()->write(bytes));
    }
    frames.push_back({areas.back().get(), areas.back()->write(bytes)->number});
    amap->put(slot, Anon(frames.back()), mmu);
  }
  for (std::uint64_t slot = 0; slot < kStores; ++slot) EXPECT_EQ(amap->find(slot)->frame(), frames[slot]);
  const std::uint64_t before = amap->metadata_bytes();
  // Stores that come and go leave nothing in the chunk.
  for (int round = 0; round < 1000; ++round) {
    test::FakeSwap area;
    amap->put(kStores, Anon({&area, area.write(bytes)->number}), mmu);
    EXPECT_TRUE(amap->drop(kStores, mmu));
  }
  EXPECT_LE(amap->metadata_bytes(), before + 2 * kStores * sizeof(void*));
  for (std::uint64_t slot = 0; slot < kStores; ++slot) EXPECT_EQ(amap->find(slot)->frame(), frames[slot]);
  amap->drop_range(kAllSlots, mmu);
  for (std::uint64_t slot = 1; slot < kStores; slot += 2) areas[slot]->free({0}, 1);
}

TEST_F(AmapTest, ACopyThatFindsNoMemoryHoldsNothing) {
  // Frames whose counts are in two places, so that the second can be missing when the first is there.
  constexpr std::uint64_t kUsed = 540;
  constexpr SlotRange kCopied{500, 530};
  {
    const MutexLock lock(amap->lock());
    for (std::uint64_t slot = 0; slot < kUsed; ++slot) amap->put(slot, anon(), mmu);
  }
  for (std::uint64_t n = 1;; ++n) {
    std::shared_ptr<Amap> twin;
    {
      const MutexLock lock(amap->lock());
      const test::AllocFault fault(n);
      try {
        twin = amap->copy(kCopied, mmu);
      } catch (const std::bad_alloc&) {
      }
    }
    if (twin) {
      const MutexLock lock(twin->lock());
      twin->drop_range(kAllSlots, mmu);
      EXPECT_GT(n, 4U) << "the counts of holders are memory too";
      break;
    }
    const MutexLock lock(amap->lock());
    for (std::uint64_t slot = kCopied.begin; slot < kCopied.end; ++slot) {
      ASSERT_TRUE(amap->is_mine_alone(slot)) << slot;
    }
  }
  EXPECT_EQ(arena.live(), kUsed);
}

}  // namespace amap_test
}  // namespace uvm

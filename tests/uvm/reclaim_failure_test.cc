// Swap, host and pmap fail at each step of going out and coming in: nothing is lost, and who has to know
// does.
#include "tests/uvm/reclaim_fixture.h"
#include "uvm/reclaim.h"

namespace test {
namespace reclaim_failure_test {

using uvm::ErrorKind;

using ReclaimFailureTest = ReclaimFixture;

TEST_F(ReclaimFailureTest, ReadErrorIsAnErrorAndNeverZeros) {
  write_pages(0, 64, 1);
  swap_out_all();
  swap.fail_reads(true);
  const auto failed = guest.cpu.load(page(20));
  EXPECT_ERROR(failed, ErrorKind::PagerIo);
  EXPECT_NE(failed.error().text().find("space guest"), std::string::npos) << failed.error().text();
  EXPECT_ERROR(uvm::Access::read_value<int>(space, page(20)), ErrorKind::PagerIo);
  EXPECT_EQ(resident(), 0U);
  EXPECT_EQ(space.reclaim_statistics().reserved, 0U);
  EXPECT_EQ(space.reclaim_statistics().failed_ins, 2U);
  EXPECT_EQ(swapped(), 64U);
  swap.fail_reads(false);
  expect_pages(0, 64, 1);
}

TEST_F(ReclaimFailureTest, WriteErrorKeepsPagesAndIsTold) {
  write_pages(0, 64, 1);
  swap.fail_writes(true);
  EXPECT_ERROR(space.reclaim(16 * kPage), ErrorKind::PagerIo);
  ASSERT_TRUE(space.reclaim_failure());
  EXPECT_EQ(space.reclaim_failure()->kind(), ErrorKind::PagerIo);
  EXPECT_EQ(resident(), 64U);
  EXPECT_EQ(swap.used(), 0U);
  expect_pages(0, 64, 1);
  swap.fail_writes(false);
  EXPECT_OK(space.reclaim(16 * kPage));
  EXPECT_FALSE(space.reclaim_failure());
  expect_pages(0, 64, 1);
}

TEST_F(ReclaimFailureTest, NoRoomAndNoSwapIsNoMemoryWithNumbers) {
  write_pages(0, kLimit, 1);
  swap.fail_writes(true);
  const auto failed = guest.cpu.store(page(300), 1);
  EXPECT_ERROR(failed, ErrorKind::NoMemory);
  const std::string text = failed.error().text();
  EXPECT_NE(text.find(uvm::hex(kLimit * kPage)), std::string::npos) << text;
  EXPECT_NE(text.find("injected: swap write"), std::string::npos) << text;
  EXPECT_NE(text.find("raise the limit"), std::string::npos) << text;
  expect_pages(0, kLimit, 1);
  EXPECT_EQ(space.reclaim_statistics().reserved, 0U);
  swap.fail_writes(false);
  EXPECT_OK(guest.cpu.store(page(300), 1));
}

TEST_F(ReclaimFailureTest, FullSwapTakesWhatFits) {
  FakeSwap small(24);
  Guest other(arena, "other");
  EXPECT_OK(other.space->set_limit({64 * kPage, &small, {}}));
  EXPECT_OK(other.space->map(ram(pages(0, 256))));
  std::uint64_t written = 0;
  while (other.cpu.write(page(written), pattern(kPage, written))) ++written;
  EXPECT_EQ(written, 64U + 24U);
  EXPECT_EQ(small.used(), 24U);
  // Reading needs room for what comes in, which there is as soon as its slots are free again: never.
  const auto failed = other.cpu.write(page(written), pattern(kPage, 1));
  EXPECT_ERROR(failed, ErrorKind::NoMemory);
  EXPECT_NE(failed.error().text().find("swap is full"), std::string::npos) << failed.error().text();
  EXPECT_OK(other.space->unmap(pages(0, 16)));
  for (std::uint64_t n = 16; n < written; ++n) ASSERT_TRUE(is_pattern(other.page_at(n), n)) << n;
}

TEST_F(ReclaimFailureTest, ShortRunsOfSwapAreUsed) {
  swap.set_longest_run(3);
  write_pages(0, 256, 1);
  EXPECT_LE(resident(), kLimit);
  expect_pages(0, 256, 1);
}

TEST_F(ReclaimFailureTest, WithoutSwapOnlyZerosGo) {
  Guest other(arena, "other");
  EXPECT_OK(other.space->set_limit({64 * kPage, nullptr, {}}));
  EXPECT_OK(other.space->map(ram(pages(0, 256))));
  const std::vector<std::byte> zeros(kPage);
  for (std::uint64_t n = 0; n < 256; ++n) ASSERT_TRUE(is_ok(other.cpu.write(page(n), zeros)));
  auto status = uvm::ok();
  std::uint64_t n = 0;
  for (; status && n < 256; ++n) status = other.cpu.write(page(n), pattern(kPage, n));
  EXPECT_ERROR(status, ErrorKind::NoMemory);
  EXPECT_EQ(n, 65U);
  for (n = 0; n < 64; ++n) ASSERT_TRUE(is_pattern(other.page_at(n), n));
}

TEST_F(ReclaimFailureTest, PmapThatCannotFillKeepsSwap) {
  write_pages(0, 64, 1);
  swap_out_all();
  guest.mmu.fail_fill_from(1);
  EXPECT_ERROR(guest.cpu.load(page(20)), ErrorKind::NoMemory);
  EXPECT_EQ(swapped(), 64U);
  guest.mmu.fail_fill_from(0);
  guest.mmu.fail_enter_from(1);
  EXPECT_ERROR(guest.cpu.load(page(20)), ErrorKind::NoMemory);
  EXPECT_EQ(swapped(), 64U);
  guest.mmu.fail_enter_from(0);
  EXPECT_EQ(space.reclaim_statistics().reserved, 0U);
  expect_pages(0, 64, 1);
}

TEST_F(ReclaimFailureTest, ZeroFillThatFailsCountsNothing) {
  guest.mmu.fail_fill_from(1);
  EXPECT_ERROR(guest.cpu.store(page(1), 1), ErrorKind::NoMemory);
  guest.mmu.fail_fill_from(0);
  EXPECT_EQ(resident(), 0U);
  EXPECT_EQ(space.reclaim_statistics().reserved, 0U);
  EXPECT_OK(guest.cpu.store(page(1), 1));
}

// What happens to the memory while its bytes are being written, without locks.
class ReclaimRaceTest : public ReclaimFixture {
 protected:
  /// `act` runs once, in the next I/O.
  template <class F>
  void during_io(F act) {
    auto ran = std::make_shared<bool>(false);
    swap.before_io([act, ran] {
      if (!std::exchange(*ran, true)) act();
    });
  }
};

TEST_F(ReclaimRaceTest, ForkWhilePagesGoOut) {
  write_pages(0, 16, 1);
  SimMmu mmu(Guest::kBytes, &arena);
  std::unique_ptr<uvm::Space> child;
  during_io([&] { child = space.fork("child", mmu).value(); });
  EXPECT_OK(space.reclaim(16 * kPage));
  expect_pages(0, 16, 1);
  SimCpu cpu(*child, mmu);
  std::vector<std::byte> bytes(kPage);
  for (std::uint64_t n = 0; n < 16; ++n) {
    EXPECT_OK(cpu.read(page(n), bytes));
    EXPECT_TRUE(is_pattern(bytes, 1 + n));
  }
  EXPECT_EQ(swap.used(), 0U);
}

TEST_F(ReclaimRaceTest, ForkWhilePagesComeIn) {
  write_pages(0, 16, 1);
  swap_out_all();
  SimMmu mmu(Guest::kBytes, &arena);
  std::unique_ptr<uvm::Space> child;
  during_io([&] { child = space.fork("child", mmu).value(); });
  expect_pages(0, 16, 1);
  write_pages(0, 16, 100);
  SimCpu cpu(*child, mmu);
  std::vector<std::byte> bytes(kPage);
  for (std::uint64_t n = 0; n < 16; ++n) {
    EXPECT_OK(cpu.read(page(n), bytes));
    EXPECT_TRUE(is_pattern(bytes, 1 + n)) << n;
  }
  expect_pages(0, 16, 100);
}

TEST_F(ReclaimRaceTest, PinThatComesWhilePagesGoOutKeepsThem) {
  write_pages(0, 16, 1);
  std::optional<uvm::Pin> pin;
  // Private pages are pinned without a fault, so this does not wait for us.
  during_io([&] {
    auto made = uvm::Pin::create(space, pages(3, 2), uvm::PinAccess::Write, uvm::PinOwner::create("dma"));
    ASSERT_TRUE(is_ok(made));
    pin.emplace(std::move(*made));
  });
  EXPECT_OK(space.reclaim(16 * kPage));
  EXPECT_EQ(swapped(), 14U);
  fill_pattern(bytes_of(pin->frame_at(page(3))), 77);
  EXPECT_TRUE(is_pattern(guest.page_at(3), 77));
  EXPECT_TRUE(is_pattern(guest.page_at(2), 3));
}

}  // namespace reclaim_failure_test
}  // namespace test

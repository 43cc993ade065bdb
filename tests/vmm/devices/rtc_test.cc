#include "vmm/devices/rtc.h"

#include <gtest/gtest.h>

#include "tests/vmm/devices/fakes.h"

namespace vmm::devices {
namespace rtc_test {

using test::read;
using test::write;

constexpr std::uint64_t kSecond = 1'000'000'000;

struct RtcTest : testing::Test {
  RtcTest() { clock.wall = 951'827'696 * kSecond; }  // Tuesday 2000-02-29 12:34:56
  std::uint64_t cell(std::uint64_t index) {
    write(rtc, 0, index);
    return read(rtc, 1);
  }
  void set_cell(std::uint64_t index, std::uint64_t value) {
    write(rtc, 0, index);
    write(rtc, 1, value);
  }
  test::FakeClock clock;
  Rtc rtc{clock, {.below_4g = std::uint64_t{3} << 30, .above_4g = std::uint64_t{5} << 30}};
};

TEST_F(RtcTest, TellsTheHostsTimeInBcd) {
  EXPECT_EQ(cell(0), 0x56U);
  EXPECT_EQ(cell(2), 0x34U);
  EXPECT_EQ(cell(4), 0x12U);
  EXPECT_EQ(cell(6), 3U) << "Sunday is 1";
  EXPECT_EQ(cell(7), 0x29U);
  EXPECT_EQ(cell(8), 0x02U);
  EXPECT_EQ(cell(9), 0x00U);
  EXPECT_EQ(cell(Rtc::kCenturyCell), 0x20U);
  clock.wall += 4 * kSecond;
  EXPECT_EQ(cell(0), 0x00U);
  EXPECT_EQ(cell(2), 0x35U);
}

TEST_F(RtcTest, BinaryAndTwelveHours) {
  set_cell(0x0b, 0x06);
  EXPECT_EQ(cell(0), 56U);
  set_cell(0x0b, 0x00);
  EXPECT_EQ(cell(4), 0x92U) << "noon is 12 PM";
  clock.wall += 12 * 3600 * kSecond;
  EXPECT_EQ(cell(4), 0x12U) << "midnight is 12 AM";
  clock.wall += 13 * 3600 * kSecond;
  EXPECT_EQ(cell(4), 0x81U);
}

TEST_F(RtcTest, UpdateInProgressIsUpJustBeforeTheSecondTurns) {
  EXPECT_EQ(cell(0x0a), 0x26U);
  clock.wall += kSecond - 100'000;
  EXPECT_EQ(cell(0x0a), 0xa6U);
  set_cell(0x0b, 0x82);
  EXPECT_EQ(cell(0x0a), 0x26U) << "not while the guest sets the clock";
}

TEST_F(RtcTest, TheGuestSetsItsClockAndItRunsOn) {
  set_cell(0x0b, 0x82);
  const std::pair<std::uint64_t, std::uint64_t> cells[] = {
      {0, 0x58}, {2, 0x59}, {4, 0x23}, {7, 0x31}, {8, 0x12}, {9, 0x37}, {Rtc::kCenturyCell, 0x20}};
  for (const auto& [index, value] : cells) set_cell(index, value);
  clock.wall += 10 * kSecond;
  EXPECT_EQ(cell(0), 0x58U) << "stands still until SET falls";
  set_cell(0x0b, 0x02);
  EXPECT_EQ(cell(0), 0x58U);
  clock.wall += 2 * kSecond;
  EXPECT_EQ(cell(0), 0x00U);
  EXPECT_EQ(cell(7), 0x01U);
  EXPECT_EQ(cell(8), 0x01U);
  EXPECT_EQ(cell(9), 0x38U);
}

TEST_F(RtcTest, MemorySizesAsFirmwareLeavesThem) {
  EXPECT_EQ(cell(0x15) | cell(0x16) << 8, 640U);
  EXPECT_EQ(cell(0x30) | cell(0x31) << 8, 0xffffU) << "capped";
  EXPECT_EQ(cell(0x34) | cell(0x35) << 8, (3072U - 16U) * 16U);
  EXPECT_EQ(cell(0x5b) | cell(0x5c) << 8 | cell(0x5d) << 16, 5U * 1024 * 16);
}

TEST_F(RtcTest, PlainCellsAreMemoryAndStatusIsNot) {
  set_cell(0x0f, 0x42);
  EXPECT_EQ(cell(0x0f), 0x42U);
  EXPECT_EQ(cell(0x0f | 0x80), 0x42U) << "bit 7 is the NMI mask";
  set_cell(0x0d, 0);
  EXPECT_EQ(cell(0x0d), 0x80U);
  EXPECT_EQ(cell(0x0c), 0U);
  EXPECT_EQ(read(rtc, 0), 0xffU);
  rtc.reset();
  EXPECT_EQ(cell(0x0f), 0x42U);
}

TEST_F(RtcTest, AWordAtTheIndexPortIsIndexAndData) {
  write(rtc, 0, 0x550f, 2);
  EXPECT_EQ(cell(0x0f), 0x55U);
}

TEST_F(RtcTest, AMonthThatIsNoneIsTheNearest) {
  set_cell(8, 0x00);
  EXPECT_EQ(cell(8), 0x01U);
  set_cell(8, 0x99);
  EXPECT_EQ(cell(8), 0x12U);
  EXPECT_EQ(cell(Rtc::kCenturyCell), 0x20U);
  EXPECT_EQ(cell(9), 0x00U);
}

TEST_F(RtcTest, NonsenseIsTakenWithoutHarm) {
  for (std::uint64_t value = 0; value < 256; value += 5) {
    set_cell(0x0b, 0x80 | (value & 6));
    for (std::uint64_t index = 0; index < Rtc::kCells; ++index) {
      if (index != 0x0b) set_cell(index, value);
    }
    set_cell(0x0b, value & 6);
    for (std::uint64_t index = 0; index < Rtc::kCells; ++index) cell(index);
  }
}

}  // namespace rtc_test
}  // namespace vmm::devices

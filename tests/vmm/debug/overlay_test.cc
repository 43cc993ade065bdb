#include "vmm/debug/overlay.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace vmm::debug {
namespace overlay_test {

using uvm::Gpa;

constexpr std::byte kTrap{0xcc};
constexpr std::uint64_t kBytes = 4 * uvm::kPageSize;

/// A few pages; counts writes, and remembers who was offered back.
class FakeMemory : public PhysicalMemory {
 public:
  FakeMemory() : bytes_(kBytes) {
    for (std::size_t i = 0; i < bytes_.size(); ++i) bytes_[i] = static_cast<std::byte>(i % 199);
  }
  uvm::Status read(Gpa gpa, std::span<std::byte> to) override {
    UVMM_CHECK(check(gpa, to.size()));
    std::memcpy(to.data(), bytes_.data() + gpa.value(), to.size());
    return uvm::ok();
  }
  uvm::Status write(Gpa gpa, std::span<const std::byte> from) override {
    UVMM_CHECK(check(gpa, from.size()));
    if (refuse_writes) return uvm::Error(uvm::ErrorKind::Pinned, "a pin forbids it");
    ++writes;
    std::memcpy(bytes_.data() + gpa.value(), from.data(), from.size());
    return uvm::ok();
  }
  void reshare(Gpa page) override { reshared.insert(page.value()); }
  std::byte& at(std::uint64_t gpa) { return bytes_[gpa]; }
  const std::vector<std::byte>& all() const { return bytes_; }

  std::size_t writes = 0;
  bool refuse_writes = false;
  std::set<std::uint64_t> reshared;

 private:
  uvm::Status check(Gpa gpa, std::size_t bytes) const {
    if (gpa.value() + bytes <= bytes_.size()) return uvm::ok();
    return uvm::Error(uvm::ErrorKind::NoMapping, "no RAM there");
  }
  std::vector<std::byte> bytes_;
};

class OverlayTest : public testing::Test {
 protected:
  std::vector<std::byte> seen() {
    std::vector<std::byte> bytes(memory_.all());
    overlay_.hide(Gpa(0), bytes);
    return bytes;
  }
  FakeMemory memory_;
  const std::vector<std::byte> before_ = memory_.all();
  Overlay overlay_{memory_};
};

TEST_F(OverlayTest, PlantsWhenTheGuestIsAboutToRunAndNotBefore) {
  ASSERT_TRUE(overlay_.want(Gpa(0x1010), 0xffff'8000'0000'1010));
  EXPECT_EQ(memory_.writes, 0U);
  EXPECT_FALSE(overlay_.planted(Gpa(0x1010)));
  ASSERT_TRUE(overlay_.plant());
  EXPECT_EQ(memory_.at(0x1010), kTrap);
  EXPECT_TRUE(overlay_.planted(Gpa(0x1010)));
  EXPECT_TRUE(overlay_.may_be_planted(0xffff'8000'0000'1010));
  EXPECT_FALSE(overlay_.may_be_planted(0x1011));
}

TEST_F(OverlayTest, RemovingAndSettingAgainCostsNoWrite) {
  ASSERT_TRUE(overlay_.want(Gpa(0x1010), 0x1010));
  ASSERT_TRUE(overlay_.plant());
  const std::size_t writes = memory_.writes;
  for (int i = 0; i < 100; ++i) {
    overlay_.unwant(Gpa(0x1010));
    ASSERT_TRUE(overlay_.want(Gpa(0x1010), 0x1010));
    ASSERT_TRUE(overlay_.plant());
  }
  EXPECT_EQ(memory_.writes, writes);
}

TEST_F(OverlayTest, ReadersNeverSeeATrap) {
  for (const std::uint64_t gpa : {0x0U, 0xfffU, 0x1000U, 0x3fffU}) ASSERT_TRUE(overlay_.want(Gpa(gpa), gpa));
  ASSERT_TRUE(overlay_.plant());
  EXPECT_NE(memory_.all(), before_);
  EXPECT_EQ(seen(), before_);
  // Any window, also one that begins or ends on a trap.
  for (const std::uint64_t begin : {0x0U, 0xffeU, 0xfffU, 0x1000U, 0x1001U, 0x3ffeU}) {
    std::vector<std::byte> part(memory_.all().begin() + static_cast<std::ptrdiff_t>(begin),
                                memory_.all().begin() + static_cast<std::ptrdiff_t>(begin + 2));
    overlay_.hide(Gpa(begin), part);
    EXPECT_EQ(part[0], before_[begin]);
    EXPECT_EQ(part[1], before_[begin + 1]);
  }
}

TEST_F(OverlayTest, AfterTheLastTrapOfAPageIsGoneThePageIsOfferedBack) {
  ASSERT_TRUE(overlay_.want(Gpa(0x1010), 1));
  ASSERT_TRUE(overlay_.want(Gpa(0x1020), 2));
  ASSERT_TRUE(overlay_.want(Gpa(0x2000), 3));
  ASSERT_TRUE(overlay_.plant());
  overlay_.unwant(Gpa(0x1010));
  ASSERT_TRUE(overlay_.plant());
  EXPECT_TRUE(memory_.reshared.empty()) << "0x1020 is still planted";
  overlay_.unwant(Gpa(0x1020));
  ASSERT_TRUE(overlay_.plant());
  EXPECT_EQ(memory_.reshared, std::set<std::uint64_t>{0x1000});
  overlay_.unwant_all();
  ASSERT_TRUE(overlay_.plant());
  EXPECT_EQ(memory_.all(), before_);
  EXPECT_FALSE(overlay_.any_planted());
  EXPECT_TRUE(overlay_.spots().empty());
}

TEST_F(OverlayTest, WhatTheGuestWritesOverATrapIsItsNewByte) {
  ASSERT_TRUE(overlay_.want(Gpa(0x1010), 0x55));
  ASSERT_TRUE(overlay_.plant());
  memory_.at(0x1010) = std::byte{0x77};
  const auto overwritten = overlay_.check();
  ASSERT_EQ(overwritten.size(), 1U);
  EXPECT_EQ(overwritten[0].linear, 0x55U);
  EXPECT_EQ(seen()[0x1010], std::byte{0x77});
  ASSERT_TRUE(overlay_.plant());
  EXPECT_EQ(memory_.at(0x1010), kTrap);
  EXPECT_EQ(seen()[0x1010], std::byte{0x77});
  overlay_.unwant_all();
  ASSERT_TRUE(overlay_.plant());
  EXPECT_EQ(memory_.at(0x1010), std::byte{0x77});
  EXPECT_TRUE(overlay_.check().empty());
}

TEST_F(OverlayTest, ARemovedTrapThatTheGuestOverwroteIsLeftAlone) {
  ASSERT_TRUE(overlay_.want(Gpa(0x1010), 0x55));
  ASSERT_TRUE(overlay_.plant());
  overlay_.unwant(Gpa(0x1010));
  memory_.at(0x1010) = std::byte{0x77};
  ASSERT_TRUE(overlay_.plant());
  EXPECT_EQ(memory_.at(0x1010), std::byte{0x77});
}

TEST_F(OverlayTest, ADebuggersWriteGoesUnderTheTrap) {
  ASSERT_TRUE(overlay_.want(Gpa(0x1010), 0));
  ASSERT_TRUE(overlay_.plant());
  const std::vector<std::byte> patch(4, std::byte{0x42});
  ASSERT_TRUE(overlay_.write_through(Gpa(0x100e), patch));
  EXPECT_EQ(memory_.at(0x1010), kTrap);
  EXPECT_EQ(memory_.at(0x1011), std::byte{0x42});
  EXPECT_EQ(seen()[0x1010], std::byte{0x42});
  overlay_.unwant_all();
  ASSERT_TRUE(overlay_.plant());
  EXPECT_EQ(memory_.at(0x1010), std::byte{0x42});
}

TEST_F(OverlayTest, APlaceWithoutMemoryIsRefusedAtOnceAndOneThatCannotBeWrittenAtPlanting) {
  EXPECT_FALSE(overlay_.want(Gpa(kBytes), 0));
  EXPECT_TRUE(overlay_.spots().empty());
  ASSERT_TRUE(overlay_.want(Gpa(0x1010), 0));
  memory_.refuse_writes = true;
  const auto planted = overlay_.plant();
  ASSERT_FALSE(planted);
  EXPECT_EQ(planted.error().kind(), uvm::ErrorKind::Pinned);
  EXPECT_EQ(memory_.all(), before_);
}

TEST_F(OverlayTest, WhileSuspendedMemoryIsTheGuestsAndAfterwardsTheTrapsAreBack) {
  ASSERT_TRUE(overlay_.want(Gpa(0x1010), 1));
  ASSERT_TRUE(overlay_.want(Gpa(0x2020), 2));
  ASSERT_TRUE(overlay_.plant());
  {
    const auto outer = overlay_.suspend();
    ASSERT_TRUE(outer);
    EXPECT_EQ(memory_.all(), before_);
    EXPECT_EQ(memory_.reshared, (std::set<std::uint64_t>{0x1000, 0x2000}));
    const auto inner = overlay_.suspend();
    ASSERT_TRUE(inner);
    // What a debugger asks for meanwhile waits.
    overlay_.unwant(Gpa(0x2020));
    ASSERT_TRUE(overlay_.want(Gpa(0x3030), 3));
    ASSERT_TRUE(overlay_.plant());
    EXPECT_EQ(memory_.all(), before_);
    EXPECT_FALSE(overlay_.any_planted());
  }
  EXPECT_EQ(memory_.at(0x1010), kTrap);
  EXPECT_EQ(memory_.at(0x2020), before_[0x2020]);
  EXPECT_EQ(memory_.at(0x3030), kTrap);
  EXPECT_EQ(seen(), before_);
}

TEST_F(OverlayTest, ASuspensionPlantsNothingThatWasNotDue) {
  ASSERT_TRUE(overlay_.want(Gpa(0x1010), 1));
  { ASSERT_TRUE(overlay_.suspend()); }
  EXPECT_EQ(memory_.all(), before_);
  ASSERT_TRUE(overlay_.plant());
  overlay_.unwant_all();
  { ASSERT_TRUE(overlay_.suspend()); }
  EXPECT_TRUE(overlay_.spots().empty()) << "lifted, and no longer wanted";
  EXPECT_EQ(memory_.all(), before_);
}

TEST_F(OverlayTest, ASuspensionThatCannotLiftLeavesThingsAsTheyWere) {
  ASSERT_TRUE(overlay_.want(Gpa(0x1010), 1));
  ASSERT_TRUE(overlay_.plant());
  memory_.refuse_writes = true;
  EXPECT_FALSE(overlay_.suspend());
  memory_.refuse_writes = false;
  EXPECT_EQ(memory_.at(0x1010), kTrap);
  EXPECT_TRUE(overlay_.planted(Gpa(0x1010)));
  EXPECT_TRUE(overlay_.suspend());
}

TEST_F(OverlayTest, WhatTheGuestWroteOverATrapSurvivesASuspension) {
  ASSERT_TRUE(overlay_.want(Gpa(0x1010), 1));
  ASSERT_TRUE(overlay_.plant());
  memory_.at(0x1010) = std::byte{0x77};
  {
    const auto suspended = overlay_.suspend();
    ASSERT_TRUE(suspended);
    EXPECT_EQ(memory_.at(0x1010), std::byte{0x77});
  }
  EXPECT_EQ(memory_.at(0x1010), kTrap);
  EXPECT_EQ(seen()[0x1010], std::byte{0x77});
}

/// Random marks, plantings, writes by guest and debugger, against an array that never had a trap in it.
TEST_F(OverlayTest, EqualsMemoryWithoutTraps) {
  const auto seed = static_cast<std::uint64_t>(testing::UnitTest::GetInstance()->random_seed());
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  std::vector<std::byte> model = before_;
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t gpa = random() % 64 * 130 % kBytes;
    // Never the trap's own value: that is the one byte that can't be told apart.
    const auto value = static_cast<std::byte>(random() % 0xcc);
    switch (random() % 7) {
      case 0:
        ASSERT_TRUE(overlay_.want(Gpa(gpa), gpa));
        break;
      case 1:
        overlay_.unwant(Gpa(gpa));
        break;
      case 2:
        ASSERT_TRUE(overlay_.plant());
        break;
      case 3:
        ASSERT_TRUE(overlay_.write_through(Gpa(gpa), std::span(&value, 1)));
        model[gpa] = value;
        break;
      case 4:  // the guest runs, and writes
        ASSERT_TRUE(overlay_.plant());
        memory_.at(gpa) = value;
        model[gpa] = value;
        static_cast<void>(overlay_.check());
        break;
      case 5: {
        const auto suspended = overlay_.suspend();
        ASSERT_TRUE(suspended);
        ASSERT_EQ(memory_.all(), model);
        break;
      }
      default:
        ASSERT_EQ(seen(), model);
        break;
    }
  }
  overlay_.unwant_all();
  ASSERT_TRUE(overlay_.plant());
  EXPECT_EQ(memory_.all(), model);
  for (std::uint64_t offset = 0; offset < uvm::kPageSize; ++offset)
    EXPECT_FALSE(overlay_.may_be_planted(offset));
}

}  // namespace overlay_test
}  // namespace vmm::debug

#include "vmm/debug/hardware_breakpoints.h"

#include <gtest/gtest.h>

#include "vmm/debug/trap.h"

namespace vmm::debug {
namespace hardware_breakpoints_test {

TEST(Dr7, FollowsTheManual) {
  DebugRegisters registers{};
  EXPECT_EQ(dr7_of(registers), 0x400U);
  registers[0] = {0x1000, WatchKind::Execute, 1};
  EXPECT_EQ(dr7_of(registers), 0x401U);
  registers[1] = {0x2000, WatchKind::Write, 4};
  registers[3] = {0x3000, WatchKind::Access, 8};
  // DR1: R/W 01, LEN 11; DR3: R/W 11, LEN 10.
  EXPECT_EQ(dr7_of(registers), 0x400U | 0x1 | 0x4 | 0x40 | 0x00d0'0000 | 0xb000'0000);
  registers[2] = {0x4000, WatchKind::Write, 2};
  EXPECT_EQ(dr7_of(registers) >> 24 & 0xf, 0x5U);
}

/// Every range of up to 16 bytes at every alignment is covered once, by aligned pieces.
TEST(SplitWatch, CoversEachByteOnceWithAlignedPieces) {
  for (std::uint64_t address = 0x1000; address < 0x1010; ++address) {
    for (std::uint64_t length = 1; length <= 16; ++length) {
      const auto pieces = split_watch({WatchKind::Write, address, length});
      if (pieces.size() > kDebugRegisters) continue;
      std::uint64_t at = address;
      for (const DebugRegister& piece : pieces) {
        EXPECT_EQ(piece.address, at);
        EXPECT_EQ(piece.address % piece.length, 0U);
        at += piece.length;
      }
      EXPECT_EQ(at, address + length);
    }
  }
}

TEST(HardwareBreakpointsTest, FourAndNoMore) {
  HardwareBreakpoints all;
  ASSERT_TRUE(all.insert({WatchKind::Write, 0x1000, 16}));  // two
  ASSERT_TRUE(all.insert({WatchKind::Execute, 0x2000, 1}));
  ASSERT_TRUE(all.insert({WatchKind::Execute, 0x2000, 1})) << "again is free";
  const auto refused = all.insert({WatchKind::Write, 0x3000, 16});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().text().find("3 of 4 are in use"), std::string::npos) << refused.error().text();
  ASSERT_TRUE(all.insert({WatchKind::Access, 0x3000, 8}));
  EXPECT_FALSE(all.insert({WatchKind::Execute, 0x4000, 1}));
  all.remove({WatchKind::Write, 0x1000, 16});
  EXPECT_TRUE(all.insert({WatchKind::Execute, 0x4000, 1}));
  EXPECT_FALSE(all.insert({WatchKind::Write, 0x5000, 0}));
  // A length that needs more registers than there are, and one that a client made up.
  EXPECT_FALSE(HardwareBreakpoints().insert({WatchKind::Write, 1, 1U << 30}));
}

TEST(TrapChoice, TakesTheBestThatTheHostHas) {
  kvm::DebugSupport support;
  EXPECT_EQ(choose_trap(support), TrapKind::None);
  support.supervisor.out_as_exit = true;
  EXPECT_EQ(choose_trap(support), TrapKind::Out);
  EXPECT_EQ(trap_byte(choose_trap(support)), std::byte{0xee});
  support.supervisor.breakpoint_as_error = true;
  EXPECT_EQ(choose_trap(support), TrapKind::Int3AsError);
  EXPECT_FALSE(traps_user_code(choose_trap(support), support));
  support.supervisor.software_breakpoint = support.user.software_breakpoint = true;
  EXPECT_EQ(choose_trap(support), TrapKind::Int3);
  EXPECT_TRUE(traps_user_code(choose_trap(support), support));
}

}  // namespace hardware_breakpoints_test
}  // namespace vmm::debug

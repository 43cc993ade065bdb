// What a step leaves of the flag it is made with: decoding, and putting right, without a processor.
#include "vmm/debug/step_guard.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <vector>

namespace vmm::debug {
namespace step_guard_test {

using Kind = FlagUse::Kind;

constexpr std::uint64_t kFlag = StepGuard::kTrapFlag;
constexpr std::uint64_t kCode = 0x1000;
constexpr std::uint64_t kStack = 0x2000;

std::vector<std::byte> bytes(std::initializer_list<int> values) {
  std::vector<std::byte> result;
  for (const int value : values) result.push_back(static_cast<std::byte>(value));
  return result;
}

/// 16 KiB from 0 on; paging does not matter.
class FlatMemory : public LinearMemory {
 public:
  std::size_t read_linear(const PagingState&, std::uint64_t linear, std::span<std::byte> to) override {
    if (linear >= memory_.size()) return 0;
    const std::size_t count = std::min(to.size(), memory_.size() - linear);
    std::memcpy(to.data(), memory_.data() + linear, count);
    return count;
  }
  bool write_linear(const PagingState&, std::uint64_t linear, std::span<const std::byte> from) override {
    if (linear + from.size() > memory_.size()) return false;
    std::memcpy(memory_.data() + linear, from.data(), from.size());
    ++writes;
    return true;
  }
  std::uint64_t word(std::uint64_t at) const {
    std::uint64_t value = 0;
    std::memcpy(&value, memory_.data() + at, sizeof value);
    return value;
  }
  void put(std::uint64_t at, std::uint64_t value) { std::memcpy(memory_.data() + at, &value, sizeof value); }
  void put(std::uint64_t at, const std::vector<std::byte>& values) {
    std::memcpy(memory_.data() + at, values.data(), values.size());
  }

  int writes = 0;

 private:
  std::vector<std::byte> memory_ = std::vector<std::byte>(0x4000);
};

kvm_sregs long_mode() {
  kvm_sregs sregs{};
  sregs.efer = 0x500;
  sregs.cs.l = 1;
  sregs.ss.base = 0xbad0'0000;  // 64-bit code has none
  return sregs;
}

class StepGuardTest : public testing::Test {
 protected:
  StepGuardTest() {
    regs_.rip = kCode;
    regs_.rsp = kStack;
  }
  void arm(const std::vector<std::byte>& code, StepGuard::Turn turn = StepGuard::Turn::First) {
    memory_.put(regs_.rip, code);
    guard_.arm(regs_, sregs_, memory_, turn);
  }

  FlatMemory memory_;
  kvm_regs regs_{};
  kvm_sregs sregs_ = long_mode();
  StepGuard guard_;
};

TEST(FlagUse, FindsTheInstructionBehindItsPrefixes) {
  const auto in64 = [](std::initializer_list<int> code) {
    return decode_flag_use(bytes(code), CodeSize::Bits64);
  };
  EXPECT_EQ(in64({0x9c}), (FlagUse{Kind::Push, 1, 8}));
  EXPECT_EQ(in64({0x66, 0x9c}), (FlagUse{Kind::Push, 2, 2}));
  EXPECT_EQ(in64({0x2e, 0x48, 0x9d}), (FlagUse{Kind::Pop, 3, 8}));
  EXPECT_EQ(in64({0xcf}), (FlagUse{Kind::InterruptReturn, 1, 4}));
  EXPECT_EQ(in64({0x48, 0xcf}), (FlagUse{Kind::InterruptReturn, 2, 8}));
  EXPECT_EQ(in64({0x0f, 0x05}), (FlagUse{Kind::SystemCall, 2, 0}));
  EXPECT_EQ(in64({0x48, 0x0f, 0x07}), (FlagUse{Kind::SystemReturn, 3, 0}));
  EXPECT_EQ(in64({0x90}), FlagUse{});
  EXPECT_EQ(in64({0x0f, 0x9c}), FlagUse{}) << "SETL";
  EXPECT_EQ(decode_flag_use(bytes({0x9c}), CodeSize::Bits32), (FlagUse{Kind::Push, 1, 4}));
  EXPECT_EQ(decode_flag_use(bytes({0x66, 0x9c}), CodeSize::Bits16), (FlagUse{Kind::Push, 2, 4}));
  EXPECT_EQ(decode_flag_use(bytes({0x9d}), CodeSize::Bits16), (FlagUse{Kind::Pop, 1, 2}));
  EXPECT_EQ(decode_flag_use(bytes({0x48, 0x9c}), CodeSize::Bits32), FlagUse{}) << "DEC EAX";
}

TEST(FlagUse, TakesCodeThatEndsAnywhere) {
  const auto code = bytes({0x66, 0x2e, 0x48, 0x0f, 0x05});
  for (std::size_t cut = 0; cut < code.size(); ++cut) {
    EXPECT_EQ(decode_flag_use(std::span(code).first(cut), CodeSize::Bits64), FlagUse{}) << cut;
  }
  EXPECT_EQ(decode_flag_use(std::vector<std::byte>(64, std::byte{0x66}), CodeSize::Bits64), FlagUse{});
}

TEST_F(StepGuardTest, WhatPushfPushedLosesTheFlag) {
  arm(bytes({0x9c}));
  regs_.rip += 1;
  regs_.rsp -= 8;
  memory_.put(regs_.rsp, 0x346);
  EXPECT_FALSE(guard_.settle(regs_, memory_));
  EXPECT_EQ(memory_.word(regs_.rsp), 0x246U);
  EXPECT_FALSE(guard_.is_armed());
}

TEST_F(StepGuardTest, AGuestThatStepsItselfSeesItsFlag) {
  regs_.rflags = kFlag;
  arm(bytes({0x9c}));
  regs_.rflags = 0;  // KVM hides it from here on
  regs_.rip += 1;
  regs_.rsp -= 8;
  memory_.put(regs_.rsp, 0x346);
  EXPECT_FALSE(guard_.settle(regs_, memory_));
  EXPECT_EQ(memory_.word(regs_.rsp), 0x346U);
  EXPECT_TRUE(guard_.own_flag());
  arm(bytes({0x90}), StepGuard::Turn::Next);
  regs_.rip += 1;
  EXPECT_FALSE(guard_.settle(regs_, memory_));
  EXPECT_TRUE(guard_.own_flag()) << "steps later it is the guest's still";
}

TEST_F(StepGuardTest, NarrowPushesTouchNothingBeside) {
  sregs_ = {};
  sregs_.ss.base = 0x1000;
  regs_.rsp = 0xffff'1000;  // 16 bits count: 0x1000 + 0x1000
  arm(bytes({0x9c}));
  regs_.rip += 1;
  regs_.rsp -= 2;
  memory_.put(0x1ffe, 0xabcd'ef01'2345'0346);
  EXPECT_FALSE(guard_.settle(regs_, memory_));
  EXPECT_EQ(memory_.word(0x1ffe), 0xabcd'ef01'2345'0246U);
}

TEST_F(StepGuardTest, AStepThatWentElsewhereLeavesMemoryAlone) {
  memory_.put(kStack - 8, 0x346);
  for (const std::uint64_t rip : {kCode, kCode + 0x100}) {  // not done; a handler's first instruction
    regs_.rip = kCode;
    arm(bytes({0x9c}));
    regs_.rip = rip;
    EXPECT_FALSE(guard_.settle(regs_, memory_));
  }
  regs_.rip = kCode;
  arm(bytes({0x90}));
  regs_.rip += 1;
  EXPECT_FALSE(guard_.settle(regs_, memory_));
  EXPECT_EQ(memory_.writes, 0);
}

TEST_F(StepGuardTest, WhatTheGuestLoadsIsItsOwn) {
  memory_.put(kStack, 0x302);
  arm(bytes({0x9d}));
  EXPECT_FALSE(guard_.own_flag());
  regs_.rip += 1;
  EXPECT_FALSE(guard_.settle(regs_, memory_));
  EXPECT_TRUE(guard_.own_flag());
  memory_.put(kStack + 16, 0x202);
  arm(bytes({0x48, 0xcf}), StepGuard::Turn::Next);
  regs_.rip = 0x3000;
  EXPECT_FALSE(guard_.settle(regs_, memory_));
  EXPECT_FALSE(guard_.own_flag());
  regs_.r11 = 0x346;
  arm(bytes({0x48, 0x0f, 0x07}), StepGuard::Turn::Next);
  regs_.rip = 0x1100;
  EXPECT_FALSE(guard_.settle(regs_, memory_));
  EXPECT_TRUE(guard_.own_flag());
}

TEST_F(StepGuardTest, ASystemCallKeepsTheFlagFromR11) {
  arm(bytes({0x0f, 0x05}));
  ASSERT_TRUE(guard_.meets_system_call());
  guard_.set_mask(0x300);
  regs_.rcx = kCode + 2;
  regs_.rip = 0x3000;
  regs_.r11 = 0x346;
  EXPECT_TRUE(guard_.settle(regs_, memory_));
  EXPECT_EQ(regs_.r11, 0x246U);
  EXPECT_FALSE(guard_.meets_system_call());
}

TEST_F(StepGuardTest, ASystemCallThatMasksTheGuestsOwnFlagClearsIt) {
  regs_.rflags = kFlag;
  arm(bytes({0x0f, 0x05}));
  guard_.set_mask(kFlag);
  regs_.rcx = kCode + 2;
  regs_.rip = 0x3000;
  regs_.r11 = 0x346;
  EXPECT_FALSE(guard_.settle(regs_, memory_));
  EXPECT_EQ(regs_.r11, 0x346U);
  EXPECT_FALSE(guard_.own_flag());
}

TEST_F(StepGuardTest, CodeAndStackThatCannotBeReadAreNoHarm) {
  regs_.rip = 0x10'0000;
  regs_.rsp = 0x10'0000;
  guard_.arm(regs_, sregs_, memory_, StepGuard::Turn::First);
  regs_.rip += 1;
  EXPECT_FALSE(guard_.settle(regs_, memory_));
  regs_.rip = 0x3fff;  // the last byte there is
  memory_.put(0x3ff8, std::uint64_t{0x9d} << 56);
  guard_.arm(regs_, sregs_, memory_, StepGuard::Turn::First);
  regs_.rip += 1;
  EXPECT_FALSE(guard_.settle(regs_, memory_));
  EXPECT_FALSE(guard_.own_flag());
}

}  // namespace step_guard_test
}  // namespace vmm::debug

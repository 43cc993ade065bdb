// Single steps over the instructions that a stepping processor has traps in, each put into memory by the
// debugger. On this host as far as it steps at CPL 0; in the rig too, where a processor steps by its trap
// flag.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "guest/programs/debugee_layout.h"
#include "tests/support/debug_session.h"
#include "tests/support/kvm_machine.h"
#include "vmm/debug/trap.h"
#include "vmm/kvm/probe.h"

namespace vmm {
namespace gdb_step_test {

using gdb::Gpr;
using gdb::RegisterFile;
using gdb::RegisterGroups;
using gdb::StopReason;
using gdb::ThreadAction;

constexpr std::uint64_t kCode = 0x20'0000;
constexpr std::uint64_t kStack = 0x30'0000;
constexpr std::uint64_t kEntry = 0x21'0000;  // of system calls
constexpr std::uint64_t kTrapFlag = 0x100;
constexpr auto kAll = RegisterGroups::General | RegisterGroups::System | RegisterGroups::Msr;

class GdbStep : public testing::Test {
 protected:
  void SetUp() override {
    UVMM_REQUIRE_KVM();
    const auto support = kvm::probe_debug_support();
    if (!support || !support->supervisor.single_step ||
        debug::choose_trap(*support) == debug::TrapKind::None) {
      GTEST_SKIP() << "no single step or no trap byte at CPL 0 on this host";
    }
    session_ = std::make_unique<test::DebugSession>(test::builtin_config("debugee"));
    ASSERT_EQ(session_->failure(), "");
    // By then the guest has descriptor tables of its own.
    ASSERT_TRUE(session_->insert(guest::programs::debugee::kSteps));
    const auto event = session_->go();
    ASSERT_TRUE(event);
    ASSERT_EQ(event->reason, StopReason::SoftwareBreakpoint);
    ASSERT_TRUE(session_->remove(guest::programs::debugee::kSteps));
  }
  RegisterFile registers() {
    RegisterFile file;
    EXPECT_TRUE(session_->target().read_registers({1, 1}, kAll, file));
    return file;
  }
  void set_registers(const RegisterFile& file) {
    const auto written = session_->target().write_registers({1, 1}, kAll, file);
    EXPECT_TRUE(written) << written.error().text();
  }
  /// `code` is what runs next, on a stack of its own.
  void load(const std::vector<std::uint8_t>& code) {
    ASSERT_TRUE(session_->target().write_memory({}, kCode, std::as_bytes(std::span(code))));
    RegisterFile file = registers();
    file.rip = kCode;
    file.rflags = 2;
    file[Gpr::Rsp] = kStack;
    set_registers(file);
  }
  /// One step, which ends `bytes` behind where it began.
  void step_over(std::uint64_t bytes) {
    const std::uint64_t before = session_->rip(1);
    const auto event = session_->step(1);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->reason, StopReason::Step);
    EXPECT_EQ(session_->rip(1), before + bytes);
  }
  /// One step over an instruction of `bytes` that keeps interrupts off for the next, and over that next one,
  /// a NOP: some processors keep the stop off too.
  void step_into_shadow(std::uint64_t bytes) {
    const std::uint64_t before = session_->rip(1);
    const auto event = session_->step(1);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->reason, StopReason::Step);
    if (session_->rip(1) == before + bytes) return step_over(1);
    EXPECT_EQ(session_->rip(1), before + bytes + 1);
  }

  std::unique_ptr<test::DebugSession> session_;
};

TEST_F(GdbStep, PushfPushesTheGuestsFlags) {
  load({0x9c, 0x66, 0x9c});  // pushfq; pushfw
  session_->set_word(kStack - 16, ~std::uint64_t{0});
  step_over(1);
  EXPECT_EQ(registers()[Gpr::Rsp], kStack - 8);
  EXPECT_EQ(session_->word(kStack - 8), 2U);
  step_over(2);
  EXPECT_EQ(session_->word(kStack - 16), 0x0002'ffff'ffff'ffffU);
}

TEST_F(GdbStep, PushfWithinARangePushesTheGuestsFlags) {
  load({0x9c, 0x58, 0x90, 0x90});  // pushfq; pop %rax; nop; nop
  const auto event = session_->resume({{{1, 1}, ThreadAction::Kind::RangeStep, kCode, kCode + 3}});
  ASSERT_TRUE(event);
  EXPECT_EQ(session_->rip(1), kCode + 3);
  EXPECT_EQ(registers()[Gpr::Rax], 2U);
}

TEST_F(GdbStep, PopfAndIretKeepTheStepsGoing) {
  load({0x9d, 0x90, 0x48, 0xcf});  // popfq; nop; iretq
  session_->set_word(kStack, 2 | 1);
  RegisterFile file = registers();
  const auto segment = [&file](gdb::Segment which) { return file[which].selector; };
  const std::vector<std::uint64_t> frame{kCode + 1, segment(gdb::Segment::Cs), 2, kStack + 256,
                                         segment(gdb::Segment::Ss)};
  for (std::size_t i = 0; i < frame.size(); ++i) session_->set_word(kStack + 8 + 8 * i, frame[i]);
  step_over(1);
  EXPECT_EQ(registers().rflags & 1, 1U);
  step_over(1);
  const auto resumed =
      session_->target().resume(std::vector{ThreadAction{{1, 1}, ThreadAction::Kind::Step, 0, 0}});
  if (!resumed) {
    EXPECT_NE(resumed.error().text().find("IRET"), std::string::npos) << resumed.error().text();
    EXPECT_EQ(session_->rip(1), kCode + 2);
    GTEST_SKIP() << "POPF was stepped over; " << resumed.error().text();
  }
  const auto event = session_->stops().next();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->reason, StopReason::Step);
  file = registers();
  EXPECT_EQ(file.rip, kCode + 1);
  EXPECT_EQ(file.rflags & 1, 0U);
  EXPECT_EQ(file[Gpr::Rsp], kStack + 256);
  step_over(1);
}

TEST_F(GdbStep, ASystemCallStopsAtItsEntryThoughItMasksTheFlag) {
  load({0x0f, 0x05});  // syscall
  RegisterFile file = registers();
  file.efer |= 1;
  file[gdb::Msr::Star] = std::uint64_t{8} << 32;  // the segments that the guest has by now
  file[gdb::Msr::Lstar] = kEntry;
  file[gdb::Msr::Sfmask] = kTrapFlag | 0x200;
  set_registers(file);
  session_->set_word(kEntry, 0x9090'9090'9090'9090);
  const auto event = session_->step(1);
  ASSERT_TRUE(event);
  EXPECT_EQ(event->reason, StopReason::Step);
  file = registers();
  EXPECT_EQ(file.rip, kEntry);
  EXPECT_EQ(file[Gpr::Rcx], kCode + 2);
  EXPECT_EQ(file[Gpr::R11], 2U);
  EXPECT_EQ(file[gdb::Msr::Sfmask], kTrapFlag | 0x200);
  EXPECT_EQ(file.rflags & kTrapFlag, 0U);
  step_over(1);
}

TEST_F(GdbStep, InterruptShadowsEnd) {
  load({0x8c, 0xd0, 0x8e, 0xd0, 0x90, 0xfb, 0x90, 0xfa,
        0x90});  // mov %ss, %eax; back; nop; sti; nop; cli; nop
  step_over(2);
  step_into_shadow(2);
  step_into_shadow(1);
  EXPECT_EQ(registers().rflags & 0x200, 0x200U);
  step_over(1);
  EXPECT_EQ(registers().rflags & 0x200, 0U);
  step_over(1);
}

TEST_F(GdbStep, AHaltIsStoppedBehind) {
  load({0xf4, 0x90});  // hlt
  step_over(1);
}

TEST_F(GdbStep, ARepeatedInstructionDoesItsWorkOnce) {
  load({0xf3, 0xaa, 0x90});  // rep stosb
  RegisterFile file = registers();
  file[Gpr::Rdi] = kStack + 64;
  file[Gpr::Rcx] = 8;
  file[Gpr::Rax] = 0x5a;
  set_registers(file);
  session_->set_word(kStack + 72, 0);
  // Once a byte, or all at once and a stop on itself.
  for (int i = 0; i < 12 && session_->rip(1) == kCode; ++i) {
    const auto event = session_->step(1);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->reason, StopReason::Step);
  }
  EXPECT_EQ(session_->rip(1), kCode + 2);
  EXPECT_EQ(registers()[Gpr::Rcx], 0U);
  EXPECT_EQ(session_->word(kStack + 64), 0x5a5a'5a5a'5a5a'5a5aU);
  EXPECT_EQ(session_->word(kStack + 72), 0U);
}

TEST_F(GdbStep, AGuestsOwnTrapFlagOutlivesTheSteps) {
  load({0x90, 0x90, 0x90});
  RegisterFile file = registers();
  file.rflags |= kTrapFlag;
  set_registers(file);
  step_over(1);
  step_over(1);
  session_->target().detach(gdb::AfterDetach::StayStopped);
  ASSERT_TRUE(session_->target().attach(session_->stops()));
  EXPECT_EQ(registers().rflags & kTrapFlag, kTrapFlag);
}

}  // namespace gdb_step_test
}  // namespace vmm

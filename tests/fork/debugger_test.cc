// Copies of a machine under a debugger: its breakpoints are in no copy, and it can come back to a checkpoint.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "guest/programs/debugee_layout.h"
#include "tests/support/debug_session.h"
#include "tests/support/debug_support.h"
#include "tests/support/kvm_machine.h"
#include "tests/support/running_machine.h"
#include "uvm/access.h"
#include "vmm/machine/machine_image.h"

namespace vmm {
namespace debugger_test {

namespace at = guest::programs::debugee;
using gdb::StopReason;

std::byte byte_at(Machine& machine, std::uint64_t gpa) {
  const auto byte = uvm::Access::read_value<std::byte>(machine.space(), uvm::Gpa(gpa));
  EXPECT_TRUE(byte);
  return byte ? *byte : std::byte{};
}

class ForkDebugger : public testing::Test {
 protected:
  void SetUp() override {
    UVMM_REQUIRE_KVM();
    if (!test::can_trap()) GTEST_SKIP() << "no trap byte comes back from CPL 0 on this host";
    session_ = std::make_unique<test::DebugSession>(test::builtin_config("debugee"));
    ASSERT_EQ(session_->failure(), "");
    original_ = byte_at(session_->machine(), at::kWork);
    ASSERT_TRUE(session_->insert(at::kWork));
    const auto event = session_->go();
    ASSERT_TRUE(event);
    ASSERT_EQ(event->reason, StopReason::SoftwareBreakpoint);
    ASSERT_NE(byte_at(session_->machine(), at::kWork), original_) << "nothing is planted";
  }
  std::string say(const std::string& line) {
    std::string text;
    const auto done = session_->target().monitor({1, 1}, line, [&](std::string_view part) { text += part; });
    return done ? text : "error: " + done.error().text();
  }

  std::unique_ptr<test::DebugSession> session_;
  std::byte original_{};
};

TEST_F(ForkDebugger, ABreakpointIsInNoCopy) {
  const auto image = session_->machine().take_image();
  ASSERT_TRUE(image) << image.error().text();
  auto child = Machine::create_from(test::builtin_config("debugee"), *image);
  ASSERT_TRUE(child) << child.error().text();
  EXPECT_EQ(byte_at(**child, at::kWork), original_);
  EXPECT_NE(byte_at(session_->machine(), at::kWork), original_) << "the debugger lost its breakpoint";
  // Nobody stops the child at it.
  EXPECT_EQ(test::RunningMachine(std::move(*child)).end().status, 0);
}

TEST_F(ForkDebugger, AResetBringsMemoryAndRegistersBackAndKeepsTheBreakpoint) {
  const std::uint64_t rip = session_->rip(1);
  const std::uint64_t calls = session_->word(at::kWorkCalls);
  ASSERT_EQ(say("checkpoint here"), "");
  session_->set_word(at::kWorkCalls, 4711);
  ASSERT_TRUE(session_->remove(at::kWork));
  ASSERT_TRUE(session_->insert(at::kSteps));
  ASSERT_EQ(say("reset here"), "");
  EXPECT_EQ(session_->rip(1), rip);
  EXPECT_EQ(session_->word(at::kWorkCalls), calls);
  EXPECT_EQ(say("reset elsewhere").substr(0, 6), "error:");
  ASSERT_TRUE(session_->remove(at::kSteps));
  const auto event = session_->go();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->reason, StopReason::Exited);
  EXPECT_EQ(event->status, 0);
}

}  // namespace debugger_test
}  // namespace vmm

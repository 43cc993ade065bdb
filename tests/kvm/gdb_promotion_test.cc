// Breakpoints where memory can't carry them, and where the guest writes over them.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/support/debug_session.h"
#include "tests/support/kvm_machine.h"
#include "uvm/pin.h"
#include "vmm/debug/trap.h"

namespace vmm {
namespace gdb_promotion_test {

using gdb::RegisterFile;
using gdb::RegisterGroups;
using gdb::StopReason;

constexpr std::uint64_t kPlace = 0x80'0000;  // in a 2 MiB page that the guest does not use
constexpr std::uint64_t kPresent = 1;
constexpr std::uint64_t kFrame = 0x000f'ffff'ffff'f000;

class GdbPromotion : public testing::Test {
 protected:
  void SetUp() override {
    UVMM_REQUIRE_KVM();
    const auto support = kvm::probe_debug_support();
    ASSERT_TRUE(support) << support.error().text();
    support_ = *support;
    session_ = std::make_unique<test::DebugSession>(test::builtin_config("debugee"));
    ASSERT_EQ(session_->failure(), "");
  }
  /// The page directory's entry of kPlace, by physical address: the loader's tables map 4 GiB as they are.
  std::uint64_t directory_entry() {
    RegisterFile file;
    EXPECT_TRUE(session_->target().read_registers({1, 1}, RegisterGroups::System, file));
    const std::uint64_t pointers = session_->word(file.cr3 & kFrame) & kFrame;
    return (session_->word(pointers) & kFrame) + 8 * (kPlace >> 21);
  }
  void map(bool present) {
    const std::uint64_t entry = directory_entry();
    const std::uint64_t value = session_->word(entry);
    session_->set_word(entry, present ? value | kPresent : value & ~kPresent);
  }
  void put_code(std::uint64_t address, const std::vector<std::uint8_t>& code) {
    ASSERT_TRUE(session_->target().write_memory({}, address, std::as_bytes(std::span(code))));
  }
  void set_rip(std::uint64_t address) {
    RegisterFile file;
    ASSERT_TRUE(session_->target().read_registers({1, 1}, RegisterGroups::General, file));
    file.rip = address;
    ASSERT_TRUE(session_->target().write_registers({1, 1}, RegisterGroups::General, file));
  }

  kvm::DebugSupport support_;
  std::unique_ptr<test::DebugSession> session_;
};

TEST_F(GdbPromotion, ABreakpointWhereNothingIsMappedIsHitOnceSomethingIs) {
  put_code(kPlace, {0x90, 0x90, 0xeb, 0xfc});  // nop; nop; jmp back
  map(false);
  const auto inserted = session_->insert(kPlace + 1);
  if (!support_.supervisor.hardware_breakpoint) {
    ASSERT_FALSE(inserted);
    EXPECT_NE(inserted.error().text().find("PDE"), std::string::npos) << inserted.error().text();
    GTEST_SKIP() << "refused, for debug registers do not leave the guest on this host: "
                 << inserted.error().text();
  }
  ASSERT_TRUE(inserted) << inserted.error().text();
  EXPECT_TRUE(session_->insert(kPlace + 1)) << "again is no harm";
  map(true);
  set_rip(kPlace);
  const auto event = session_->go();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->reason, StopReason::HardwareBreakpoint);
  EXPECT_EQ(session_->rip(1), kPlace + 1);
  EXPECT_EQ(session_->word(kPlace) & 0xffff, 0x9090U);
  ASSERT_TRUE(session_->remove(kPlace + 1));
}

// What a device reads has no trap in it where the host has debug registers; elsewhere the trap is in memory,
// and works.
TEST_F(GdbPromotion, ABreakpointInAPinnedPageLeavesItsBytesIfItCan) {
  if (debug::choose_trap(support_) == debug::TrapKind::None) {
    GTEST_SKIP() << "no trap byte comes back from CPL 0 on this host";
  }
  put_code(kPlace, {0x90, 0x90, 0x90, 0xeb, 0xfb});  // nop; nop; nop; jmp back
  const auto pin = uvm::Pin::create(session_->machine().space(), uvm::GpaRange::page_of(uvm::Gpa(kPlace)),
                                    uvm::PinAccess::Read, uvm::PinOwner::create("disk0"));
  ASSERT_TRUE(pin) << pin.error().text();
  ASSERT_TRUE(session_->insert(kPlace + 1));
  set_rip(kPlace);
  const auto event = session_->go();
  ASSERT_TRUE(event);
  EXPECT_EQ(session_->rip(1), kPlace + 1);
  const bool in_a_register = support_.supervisor.hardware_breakpoint;
  EXPECT_EQ(event->reason, in_a_register ? StopReason::HardwareBreakpoint : StopReason::SoftwareBreakpoint);
  EXPECT_EQ(pin->bytes()[1] == std::byte{0x90}, in_a_register) << "what the device reads";
  EXPECT_EQ(session_->word(kPlace) & 0xffffff, 0x909090U) << "what a debugger reads";
  ASSERT_TRUE(session_->remove(kPlace + 1));
  session_->target().detach(gdb::AfterDetach::StayStopped);
  EXPECT_EQ(pin->bytes()[1], std::byte{0x90});
}

// A watchpoint may still be wanted: pinned pages take two registers at most.
TEST_F(GdbPromotion, BreakpointsInPinnedPagesLeaveRegistersForOthers) {
  if (!support_.supervisor.hardware_breakpoint || !support_.supervisor.watchpoint) {
    GTEST_SKIP() << "debug registers do not leave the guest at CPL 0 on this host";
  }
  const auto pin = uvm::Pin::create(session_->machine().space(), uvm::GpaRange::page_of(uvm::Gpa(kPlace)),
                                    uvm::PinAccess::Read, uvm::PinOwner::create("disk0"));
  ASSERT_TRUE(pin) << pin.error().text();
  for (std::uint64_t i = 0; i < 5; ++i) ASSERT_TRUE(session_->insert(kPlace + i)) << i;
  using gdb::Breakpoint;
  using gdb::BreakpointKind;
  EXPECT_TRUE(
      session_->target().insert_breakpoint({}, Breakpoint{BreakpointKind::WriteWatch, kPlace + 64, 8}));
  EXPECT_TRUE(
      session_->target().insert_breakpoint({}, Breakpoint{BreakpointKind::WriteWatch, kPlace + 72, 8}));
}

TEST_F(GdbPromotion, TheFifthIsRefusedAndSaysWhy) {
  if (!support_.supervisor.hardware_breakpoint) {
    GTEST_SKIP() << "debug registers do not leave the guest at CPL 0 on this host";
  }
  map(false);
  for (std::uint64_t i = 0; i < 4; ++i) ASSERT_TRUE(session_->insert(kPlace + i)) << i;
  const auto fifth = session_->insert(kPlace + 4);
  ASSERT_FALSE(fifth);
  const std::string text = fifth.error().text();
  EXPECT_NE(text.find("PDE"), std::string::npos) << text;
  EXPECT_NE(text.find("4 of 4"), std::string::npos) << text;
  ASSERT_TRUE(session_->remove(kPlace + 2));
  EXPECT_TRUE(session_->insert(kPlace + 4));
}

TEST_F(GdbPromotion, ABreakpointThatTheGuestWritesOverIsPlantedAgain) {
  if (debug::choose_trap(support_) == debug::TrapKind::None) {
    GTEST_SKIP() << "no trap byte comes back from CPL 0 on this host";
  }
  // movb $0xf8, 6(%rip); nop; nop; 5 bytes more; clc in place of a nop; nop; jmp to itself
  put_code(kPlace,
           {0xc6, 0x05, 0x06, 0x00, 0x00, 0x00, 0xf8, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xeb, 0xfe});
  constexpr std::uint64_t kWritten = kPlace + 7 + 6;
  ASSERT_TRUE(session_->insert(kPlace + 8));
  ASSERT_TRUE(session_->insert(kWritten));
  set_rip(kPlace);
  auto event = session_->go();
  ASSERT_TRUE(event);
  ASSERT_EQ(event->reason, StopReason::SoftwareBreakpoint);
  EXPECT_EQ(session_->rip(1), kPlace + 8);
  EXPECT_NE(event->note.find("has written over the breakpoint"), std::string::npos) << event->note;
  EXPECT_EQ(session_->word(kWritten) & 0xff, 0xf8U) << "what the guest wrote";
  ASSERT_TRUE(session_->remove(kPlace + 8));
  event = session_->go();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->reason, StopReason::SoftwareBreakpoint);
  EXPECT_EQ(session_->rip(1), kWritten) << "the trap is back";
  EXPECT_EQ(event->note, "") << "told once";
  ASSERT_TRUE(session_->remove(kWritten));
  session_->target().detach(gdb::AfterDetach::StayStopped);
  ASSERT_TRUE(session_->target().attach(session_->stops()));
  EXPECT_EQ(session_->word(kWritten) & 0xff, 0xf8U) << "and the guest keeps it";
}

}  // namespace gdb_promotion_test
}  // namespace vmm

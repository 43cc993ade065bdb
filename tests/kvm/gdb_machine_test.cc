// A debugger's view of real vCPUs: stops, steps and breakpoints, as far as this host's KVM has them.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "guest/programs/debugee_layout.h"
#include "tests/support/debug_session.h"
#include "tests/support/debug_support.h"
#include "tests/support/kvm_machine.h"
#include "vmm/debug/trap.h"

namespace vmm {
namespace gdb_machine_test {

namespace at = guest::programs::debugee;
using gdb::AfterDetach;
using gdb::RegisterFile;
using gdb::RegisterGroups;
using gdb::StopReason;
using gdb::ThreadAction;
using test::DebugSession;

MachineConfig debugee(std::uint32_t vcpus) {
  auto config = test::builtin_config("debugee");
  config.vcpus = vcpus;
  return config;
}

class GdbMachine : public testing::Test {
 protected:
  void SetUp() override { UVMM_REQUIRE_KVM(); }
  static bool can_step() { return test::debug_support().supervisor.single_step; }
};

TEST_F(GdbMachine, StartsStoppedAtTheFirstInstruction) {
  DebugSession session(debugee(2));
  ASSERT_EQ(session.failure(), "");
  EXPECT_EQ(session.rip(1), 0x10'0000U);
  EXPECT_EQ(session.word(at::kRounds), 500U);
  const auto threads = session.target().threads();
  ASSERT_EQ(threads.size(), 2U);
  EXPECT_EQ(session.target().thread_state(threads[0].id), "running, CPL 0");
  EXPECT_EQ(session.target().thread_state(threads[1].id), "waiting for INIT, CPL 0");
}

TEST_F(GdbMachine, GoesOnAfterDetachAndEndsAsIfNobodyHadLooked) {
  DebugSession session(debugee(4));
  ASSERT_EQ(session.failure(), "");
  session.set_word(at::kGate, 0);  // so that it is still there to come back to
  session.target().detach(AfterDetach::Run);
  ASSERT_TRUE(session.target().attach(session.stops()));
  session.set_word(at::kGate, 1);
  const auto event = session.go();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->reason, StopReason::Exited);
  EXPECT_EQ(event->status, 0);
  EXPECT_EQ(session.end(), 0);
}

TEST_F(GdbMachine, AnInterruptStopsAllVcpusAndTheyGoOn) {
  DebugSession session(debugee(4));
  ASSERT_EQ(session.failure(), "");
  session.set_word(at::kGate, 0);
  for (int i = 0; i < 200; ++i) {
    std::vector<ThreadAction> actions;
    for (const auto& thread : session.target().threads()) actions.push_back({thread.id, {}, 0, 0});
    ASSERT_TRUE(session.target().resume(actions));
    session.target().interrupt();
    const auto event = session.stops().next();
    ASSERT_TRUE(event);
    EXPECT_EQ(event->reason, StopReason::Interrupted);
    EXPECT_EQ(session.stops().waiting(), 0U);
    const std::uint64_t spins = session.word(at::kSpins);
    EXPECT_EQ(session.word(at::kSpins), spins) << "somebody still runs";
  }
  session.set_word(at::kGate, 1);
  const auto event = session.go();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->reason, StopReason::Exited);
  EXPECT_EQ(event->status, 0);
}

TEST_F(GdbMachine, EveryHitOfABreakpointIsToldOnce) {
  if (!test::can_trap()) GTEST_SKIP() << "no trap byte comes back from CPL 0 on this host";
  if (!can_step()) GTEST_SKIP() << "no single step at CPL 0 on this host";
  constexpr std::uint32_t kVcpus = 4;
  DebugSession session(debugee(kVcpus));
  ASSERT_EQ(session.failure(), "");
  const std::uint64_t rounds = session.word(at::kRounds);
  ASSERT_TRUE(session.insert(at::kWork));
  std::map<std::uint32_t, std::uint64_t> hits;
  auto event = session.go();
  while (event && event->reason == StopReason::SoftwareBreakpoint) {
    const std::uint32_t tid = event->thread.tid;
    ++hits[tid];
    ASSERT_EQ(session.rip(tid), at::kWork);
    // As gdb does it: out, one step of this vCPU alone, in again.
    ASSERT_TRUE(session.remove(at::kWork));
    const auto stepped = session.step(tid);
    ASSERT_TRUE(stepped);
    ASSERT_EQ(stepped->reason, StopReason::Step);
    ASSERT_EQ(stepped->thread.tid, tid);
    ASSERT_NE(session.rip(tid), at::kWork);
    ASSERT_TRUE(session.insert(at::kWork));
    event = session.go();
  }
  ASSERT_TRUE(event);
  EXPECT_EQ(event->reason, StopReason::Exited);
  EXPECT_EQ(event->status, 0) << "the guest has counted otherwise";
  ASSERT_EQ(hits.size(), kVcpus);
  for (const auto& [tid, count] : hits) EXPECT_EQ(count, rounds) << "vCPU " << tid - 1;
}

TEST_F(GdbMachine, ABreakpointIsNotSeenByReadersAndGoneAfterDetach) {
  if (!test::can_trap()) GTEST_SKIP() << "no trap byte comes back from CPL 0 on this host";
  DebugSession session(debugee(1));
  ASSERT_EQ(session.failure(), "");
  const std::uint64_t before = session.word(at::kWork);
  ASSERT_TRUE(session.insert(at::kWork));
  const auto event = session.go();
  ASSERT_TRUE(event);
  ASSERT_EQ(event->reason, StopReason::SoftwareBreakpoint);
  EXPECT_EQ(session.word(at::kWork), before);
  session.set_word(at::kGate, 0);
  session.target().detach(AfterDetach::StayStopped);
  ASSERT_TRUE(session.target().attach(session.stops()));
  EXPECT_EQ(session.word(at::kWork), before);
  const auto ended = session.go();
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->reason, StopReason::Exited);
  EXPECT_EQ(ended->status, 0);
}

TEST_F(GdbMachine, StepsWalkThroughEveryKindOfInstruction) {
  if (!test::can_trap() || !can_step()) GTEST_SKIP() << "needs a trap and single step at CPL 0";
  DebugSession session(debugee(1));
  ASSERT_EQ(session.failure(), "");
  std::vector<std::uint64_t> expected;
  const std::uint64_t table = session.word(at::kStepTable);
  for (std::uint64_t i = 0; i < session.word(at::kStepBytes); i += 8)
    expected.push_back(session.word(table + i));
  ASSERT_GT(expected.size(), 15U);
  ASSERT_TRUE(session.insert(at::kSteps));
  auto event = session.go();
  ASSERT_TRUE(event);
  ASSERT_EQ(event->reason, StopReason::SoftwareBreakpoint);
  ASSERT_TRUE(session.remove(at::kSteps));
  std::vector<std::uint64_t> seen{session.rip(1)};
  // A REP may stop more than once on itself.
  for (int i = 0; i < 60 && seen.back() != expected.back(); ++i) {
    event = session.step(1);
    ASSERT_TRUE(event);
    ASSERT_EQ(event->reason, StopReason::Step);
    if (session.rip(1) != seen.back()) seen.push_back(session.rip(1));
  }
  EXPECT_EQ(seen, expected);
  EXPECT_EQ(session.word(at::kFlagsSeen) & 0x100, 0U) << "the guest saw the debugger's trap flag";
}

TEST_F(GdbMachine, ARangeStepStopsAtTheFirstInstructionOutside) {
  if (!test::can_trap() || !can_step()) GTEST_SKIP() << "needs a trap and single step at CPL 0";
  DebugSession session(debugee(1));
  ASSERT_EQ(session.failure(), "");
  ASSERT_TRUE(session.insert(at::kSteps));
  ASSERT_TRUE(session.go());
  ASSERT_TRUE(session.remove(at::kSteps));
  const std::uint64_t end = session.word(session.word(at::kStepTable) + 8 * 16);
  const auto event = session.resume({{{1, 1}, ThreadAction::Kind::RangeStep, at::kSteps, end}});
  ASSERT_TRUE(event);
  EXPECT_EQ(event->reason, StopReason::Step);
  EXPECT_EQ(session.rip(1), end);
}

TEST_F(GdbMachine, OneVcpuStepsWhileTheOthersStay) {
  if (!can_step()) GTEST_SKIP() << "no single step at CPL 0 on this host";
  DebugSession session(debugee(4));
  ASSERT_EQ(session.failure(), "");
  session.set_word(at::kGate, 0);
  std::vector<ThreadAction> actions;
  for (const auto& thread : session.target().threads()) actions.push_back({thread.id, {}, 0, 0});
  // Until all four have come up.
  while (session.word(at::kArrived) != 4) {
    ASSERT_TRUE(session.target().resume(actions));
    session.target().interrupt();
    ASSERT_TRUE(session.stops().next());
  }
  const std::vector<std::uint64_t> others{session.rip(1), session.rip(2), session.rip(4)};
  std::set<std::uint64_t> places;
  for (int i = 0; i < 50; ++i) {
    const auto event = session.step(3);
    ASSERT_TRUE(event);
    ASSERT_EQ(event->reason, StopReason::Step);
    ASSERT_EQ(event->thread.tid, 3U);
    places.insert(session.rip(3));
  }
  // The loop at the gate has four instructions. QEMU's TCG, which the rig runs on, leaves its loop at PAUSE
  // and forgets the trap, so that PAUSE and the next are one step there.
  EXPECT_GE(places.size(), 3U);
  EXPECT_LE(places.size(), 4U);
  EXPECT_EQ((std::vector<std::uint64_t>{session.rip(1), session.rip(2), session.rip(4)}), others);
}

TEST_F(GdbMachine, AnInt3OfTheGuestsOwnReachesItsHandler) {
  const auto trap = debug::choose_trap(test::debug_support());
  if (trap != debug::TrapKind::Int3 && trap != debug::TrapKind::Int3AsError) {
    GTEST_SKIP() << "INT3 does not leave the guest on this host, so none is reflected";
  }
  DebugSession session(debugee(1));
  ASSERT_EQ(session.failure(), "");
  session.set_word(at::kWantInt3, 1);
  ASSERT_TRUE(session.insert(at::kSteps));
  auto event = session.go();
  ASSERT_TRUE(event);
  ASSERT_EQ(event->reason, StopReason::SoftwareBreakpoint);
  EXPECT_EQ(session.word(at::kInt3Seen), 0U);
  ASSERT_TRUE(session.remove(at::kSteps));
  ASSERT_TRUE(session.insert(at::kOwnInt3 + 1));  // keeps a trap planted, right behind the INT3
  event = session.go();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->reason, StopReason::SoftwareBreakpoint);
  EXPECT_EQ(session.rip(1), at::kOwnInt3 + 1);
  EXPECT_EQ(session.word(at::kInt3Seen), 1U);
  ASSERT_TRUE(session.remove(at::kOwnInt3 + 1));
  event = session.go();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->reason, StopReason::Exited);
  EXPECT_EQ(event->status, 0);
}

TEST_F(GdbMachine, RegistersCanBeReadAndWritten) {
  DebugSession session(debugee(2));
  ASSERT_EQ(session.failure(), "");
  RegisterFile file;
  ASSERT_TRUE(session.target().read_registers({1, 1}, RegisterGroups::All, file));
  EXPECT_EQ(file.rip, 0x10'0000U);
  EXPECT_NE(file.cr0 & 0x8000'0000, 0U);
  EXPECT_NE(file.efer & 0x400, 0U);
  file[gdb::Gpr::R13] = 0x1234'5678'9abc'def0;
  const auto still = RegisterGroups::General | RegisterGroups::System | RegisterGroups::Vector |
                     RegisterGroups::Debug | RegisterGroups::Msr;
  ASSERT_TRUE(session.target().write_registers({1, 1}, still, file));
  RegisterFile again;
  ASSERT_TRUE(session.target().read_registers({1, 1}, RegisterGroups::General, again));
  EXPECT_EQ(again[gdb::Gpr::R13], 0x1234'5678'9abc'def0U);
  file[gdb::Segment::Ds].selector += 8;
  EXPECT_FALSE(session.target().write_registers({1, 1}, RegisterGroups::System, file));
  EXPECT_FALSE(session.target().read_registers({1, 3}, RegisterGroups::General, file));
}

TEST_F(GdbMachine, ACounterIsSetOrTheHostsRefusalIsTold) {
  DebugSession session(debugee(1));
  ASSERT_EQ(session.failure(), "");
  RegisterFile file;
  ASSERT_TRUE(session.target().read_registers({1, 1}, RegisterGroups::Counter, file));
  const std::uint64_t before = file[gdb::Msr::Tsc];
  const std::uint64_t wanted = before + (std::uint64_t{1} << 44);  // hours ahead
  file[gdb::Msr::Tsc] = wanted;
  const auto written = session.target().write_registers({1, 1}, RegisterGroups::Counter, file);
  ASSERT_TRUE(session.target().read_registers({1, 1}, RegisterGroups::Counter, file));
  EXPECT_EQ(written.has_value(), file[gdb::Msr::Tsc] >= wanted) << file[gdb::Msr::Tsc] - before;
  if (!written) {
    EXPECT_NE(written.error().text().find("tsc did not take"), std::string::npos) << written.error().text();
  }
}

TEST_F(GdbMachine, MemoryErrorsNameTheLevelAndReadsArePartial) {
  DebugSession session(debugee(1));
  ASSERT_EQ(session.failure(), "");
  std::vector<std::byte> bytes(64);
  const auto unmapped = session.target().read_memory({}, 0xffff'8123'4567'0000, bytes);
  ASSERT_FALSE(unmapped);
  EXPECT_NE(unmapped.error().text().find("PML4E"), std::string::npos) << unmapped.error().text();
  // RAM ends at 64 MiB, the tables map 4 GiB.
  std::vector<std::byte> across(2 * uvm::kPageSize);
  const auto read = session.target().read_memory({}, (std::uint64_t{64} << 20) - uvm::kPageSize, across);
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(*read, uvm::kPageSize);
}

TEST_F(GdbMachine, WhatTheHostCannotDoIsRefusedWithText) {
  DebugSession session(debugee(1));
  ASSERT_EQ(session.failure(), "");
  const auto found = test::debug_support();
  const auto watch =
      session.target().insert_breakpoint({}, {gdb::BreakpointKind::WriteWatch, at::kWorkCalls, 8});
  EXPECT_EQ(watch.has_value(), found.supervisor.watchpoint || found.user.watchpoint);
  if (!watch) {
    EXPECT_NE(watch.error().text().find("watchpoint"), std::string::npos) << watch.error().text();
  }
}

TEST_F(GdbMachine, AHardwareBreakpointIsHit) {
  if (!test::debug_support().supervisor.hardware_breakpoint) {
    GTEST_SKIP() << "debug registers do not leave the guest at CPL 0 on this host";
  }
  DebugSession session(debugee(2));
  ASSERT_EQ(session.failure(), "");
  const gdb::Breakpoint breakpoint{gdb::BreakpointKind::Hardware, at::kSteps, 1};
  ASSERT_TRUE(session.target().insert_breakpoint({}, breakpoint));
  const auto event = session.go();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->reason, StopReason::HardwareBreakpoint);
  EXPECT_EQ(session.rip(event->thread.tid), at::kSteps);
  ASSERT_TRUE(session.target().remove_breakpoint({}, breakpoint));
  const auto ended = session.go();
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->reason, StopReason::Exited);
}

}  // namespace gdb_machine_test
}  // namespace vmm

// Resuming, stopping, leaving: what the target is asked, and which answer comes when.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "tests/vmm/gdb/conversation.h"
#include "vmm/gdb/hex.h"
#include "vmm/gdb/resume_plan.h"

namespace run_control_test {

using test::Conversation;
using test::FakeDebugTarget;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;
using vmm::gdb::framed;
using vmm::gdb::StopReason;
using vmm::gdb::ThreadAction;

/// "1c 2s 3r10-20": thread and action.
std::string shown(const std::vector<ThreadAction>& actions) {
  std::string text;
  for (const ThreadAction& each : actions) {
    text += (text.empty() ? "" : " ") + std::to_string(each.thread.tid);
    if (each.kind == ThreadAction::Kind::Continue) text += "c";
    if (each.kind == ThreadAction::Kind::Step) text += "s";
    if (each.kind == ThreadAction::Kind::RangeStep)
      text += "r" + vmm::gdb::hex_number(each.begin) + "-" + vmm::gdb::hex_number(each.end);
  }
  return text;
}

struct Plan {
  std::string packet;
  std::string actions;  // "error" for a refused one
};

TEST(ResumePlan, IsExact) {
  const std::vector<Plan> plans = {
      {";c", "1c 2c 3c"},
      {";c:p1.-1", "1c 2c 3c"},
      {";c:-1", "1c 2c 3c"},
      {";c:p-1.-1", "1c 2c 3c"},
      {";c:p1", "1c 2c 3c"},
      {";s:p1.2", "2s"},  // scheduler-locking: only that one moves
      {";s:p1.2;c", "1c 2s 3c"},
      {";s:2;c:-1", "1c 2s 3c"},
      {";r100,120:p1.3;c:p1.-1", "1c 2c 3r100-120"},
      {";C05:p1.1;t", "1c"},
      {";S0b:1;t:2;c", "1s 3c"},
      {";c;s:p1.1", "1c 2c 3c"},  // the leftmost counts
      {";s:p1.9;c", "1c 2c 3c"},
      {"", "error"},
      {";", "error"},
      {";t", "error"},
      {";c:p1.9", "error"},
      {";c:p2.1", "error"},
      {";c:", "error"},
      {";c:zz", "error"},
      {";c:p-1.1", "error"},
      {";cx", "error"},
      {";r100", "error"},
      {";r100,:1", "error"},
      {";C", "error"},
      {";b", "error"},
  };
  FakeDebugTarget target(3);
  for (const Plan& each : plans) {
    const auto plan = vmm::gdb::plan_resume(each.packet, target.threads());
    EXPECT_EQ(plan ? shown(*plan) : "error", each.actions) << "vCont" << each.packet;
  }
}

TEST(ResumePlan, OfTheOldPackets) {
  FakeDebugTarget target(3);
  const auto plan = [&target](std::string_view packet, vmm::gdb::ThreadSelector resumed) {
    const auto actions = vmm::gdb::plan_old_resume(packet, target.threads(), resumed, {1, 2});
    return actions ? shown(*actions) : "error";
  };
  EXPECT_EQ(plan("c", {}), "1c 2c 3c");
  EXPECT_EQ(plan("s", {}), "1c 2s 3c");
  EXPECT_EQ(plan("s", {-1, -1}), "1c 2s 3c");
  EXPECT_EQ(plan("s", {1, 3}), "3s");
  EXPECT_EQ(plan("c", {0, 1}), "1c");
  EXPECT_EQ(plan("C05", {}), "1c 2c 3c");
  EXPECT_EQ(plan("c1000", {}), "error");
  EXPECT_EQ(plan("s", {1, 9}), "error");
}

TEST(RunControl, AnswersAResumeWhenTheMachineStops) {
  Conversation with;
  with.greet();
  EXPECT_THAT(with.say("vCont;c"), IsEmpty());
  EXPECT_EQ(with.target.state(), FakeDebugTarget::State::Resumed);
  with.target.registers(2).rip = 0x1234;
  with.target.stop({StopReason::Signal, {1, 2}, 11, 0, 0, {}, {}});
  with.deliver();
  EXPECT_THAT(with.take(), ElementsAre("T0b06:0000000000000000;07:0000000000000000;10:3412000000000000;"
                                       "thread:p1.2;core:1;"));
  EXPECT_EQ(with.ask("qC"), "QCp1.2");
}

TEST(RunControl, NamesTheReason) {
  struct Case {
    StopReason reason;
    std::uint8_t signal;
    std::uint64_t address;
    const char* begin;
    const char* end;
  };
  constexpr std::array kCases = {
      Case{StopReason::Interrupted, 5, 0, "T02", "core:0;"},
      Case{StopReason::Step, 9, 0, "T05", "core:0;"},
      Case{StopReason::SoftwareBreakpoint, 9, 0, "T05", ";swbreak:;"},
      Case{StopReason::HardwareBreakpoint, 9, 0, "T05", ";hwbreak:;"},
      Case{StopReason::WriteWatch, 9, 0xffff800000001000, "T05", ";watch:ffff800000001000;"},
      Case{StopReason::AccessWatch, 9, 0x10, "T05", ";awatch:10;"},
      Case{StopReason::Signal, 4, 0, "T04", "core:0;"},
  };
  Conversation with;
  with.greet();
  for (const Case& each : kCases) {
    EXPECT_THAT(with.say("vCont;c"), IsEmpty());
    with.target.stop({each.reason, {1, 1}, each.signal, each.address, 0, {}, {}});
    with.deliver();
    const auto replies = with.take();
    ASSERT_THAT(replies, SizeIs(1));
    EXPECT_THAT(replies[0], StartsWith(each.begin));
    EXPECT_THAT(replies[0], EndsWith(each.end));
    EXPECT_EQ(with.ask("?"), replies[0]);  // and says so again when asked
  }
}

TEST(RunControl, SaysSwbreakOnlyToWhoKnowsIt) {
  Conversation with;
  static_cast<void>(with.ask("Z0,10,1"));
  const auto replies = with.say("c");
  ASSERT_THAT(replies, SizeIs(1));
  EXPECT_THAT(replies[0], Not(HasSubstr("swbreak")));
}

TEST(RunControl, InterruptsOnlyWhatRuns) {
  Conversation with;
  with.greet();
  EXPECT_THAT(with.say_raw("\x03"), IsEmpty());
  EXPECT_THAT(with.target.calls(), ElementsAre("attach"));
  EXPECT_THAT(with.say("c"), IsEmpty());
  const auto replies = with.say_raw("\x03");
  ASSERT_THAT(replies, SizeIs(1));
  EXPECT_THAT(replies[0], StartsWith("T02"));
  EXPECT_THAT(with.say_raw("\x03\x03"), IsEmpty());
}

TEST(RunControl, PacketsWaitForTheStopAndInterruptsDoNot) {
  Conversation with;
  with.greet();
  with.session.receive(framed("c") + framed("qC") + framed("c"));
  EXPECT_THAT(with.take(), IsEmpty());
  with.session.receive("\x03");
  with.deliver();
  const auto replies = with.take();
  ASSERT_THAT(replies, SizeIs(2));
  EXPECT_THAT(replies[0], StartsWith("T02"));
  EXPECT_EQ(replies[1], "QCp1.1");
  EXPECT_EQ(with.target.state(), FakeDebugTarget::State::Resumed);  // the second c
}

TEST(RunControl, EndsAConnectionThatFloodsARunningMachine) {
  Conversation with;
  with.greet();
  EXPECT_THAT(with.say("c"), IsEmpty());
  std::string many;
  for (std::size_t i = 0; i <= vmm::gdb::Session::kMostDeferred; ++i) many += framed("qC");
  static_cast<void>(with.say_raw(many));
  EXPECT_TRUE(with.session.is_over());
}

TEST(RunControl, SaysWhyItCannotResume) {
  Conversation with;
  with.greet();
  with.target.fail_next({uvm::ErrorKind::Unsupported, "this host cannot step"});
  EXPECT_EQ(with.ask("vCont;s:p1.1"), "E.this host cannot step");
  EXPECT_EQ(with.ask("qC"), "QCp1.1");
  Conversation old;
  static_cast<void>(old.ask("?"));
  old.target.fail_next({uvm::ErrorKind::Unsupported, "this host cannot step"});
  EXPECT_THAT(old.say("s"), ElementsAre("O" + vmm::gdb::hex_text("this host cannot step\n"), "E5f"));
}

TEST(RunControl, ShowsATargetsNoteBeforeTheStop) {
  Conversation with;
  with.greet();
  EXPECT_THAT(with.say("c"), IsEmpty());
  with.target.stop({StopReason::Step, {1, 1}, 5, 0, 0, {}, "planted again"});
  with.deliver();
  EXPECT_THAT(with.take(), ElementsAre("O" + vmm::gdb::hex_text("planted again\n"), StartsWith("T05")));
}

TEST(RunControl, TellsAWaitingDebuggerThatTheMachineEnded) {
  Conversation with;
  with.greet();
  EXPECT_THAT(with.say("c"), IsEmpty());
  with.session.machine_ended(33);
  EXPECT_THAT(with.take(), ElementsAre("W21;process:1"));
  EXPECT_THAT(with.target.calls(), ElementsAre("attach", "resume", "detach stopped"));
  EXPECT_EQ(with.ask("?"), "W21;process:1");
  EXPECT_THAT(with.ask("g"), StartsWith("E."));
}

TEST(RunControl, DoesNotTellOneThatDoesNotWait) {
  Conversation with;
  with.greet();
  with.session.machine_ended(0);
  EXPECT_THAT(with.take(), IsEmpty());
  EXPECT_EQ(with.ask("?"), "W00;process:1");
}

TEST(Leaving, ByDetachRemovesBreakpointsAndLetsTheGuestGoOn) {
  Conversation with;
  with.greet();
  EXPECT_EQ(with.ask("Z0,1000,1"), "OK");
  EXPECT_EQ(with.ask("D"), "OK");
  EXPECT_THAT(with.target.calls(), ElementsAre("attach", "detach"));
  EXPECT_THAT(with.target.breakpoints(), IsEmpty());
  EXPECT_FALSE(with.session.is_over());
}

TEST(Leaving, ByKillDetachesUnlessToldOtherwise) {
  Conversation safe;
  safe.greet();
  EXPECT_THAT(safe.say("k"), IsEmpty());
  EXPECT_TRUE(safe.session.is_over());
  EXPECT_THAT(safe.target.calls(), ElementsAre("attach", "detach"));
  Conversation deadly(1, {}, vmm::gdb::OnKill::Kill);
  deadly.greet();
  EXPECT_EQ(deadly.ask("vKill;1"), "OK");
  EXPECT_THAT(deadly.target.calls(), ElementsAre("attach", "kill", "detach stopped"));
}

TEST(Leaving, WithoutAWordIsADetachAtAnyByte) {
  const std::string bytes = framed("qSupported:swbreak+") + framed("Z0,10,1") + framed("vCont;c:p1.-1");
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    FakeDebugTarget target;
    test::QueuedEvents listener;
    test::StringWire wire;
    {
      vmm::gdb::Session session(target, listener, wire, vmm::gdb::OnKill::Kill);
      session.receive(std::string_view(bytes).substr(0, cut));
    }
    EXPECT_EQ(target.state(), FakeDebugTarget::State::Detached) << cut;
    EXPECT_THAT(target.breakpoints(), IsEmpty());
    const auto calls = target.calls();
    EXPECT_EQ(calls.empty() ? "detach" : calls.back(), "detach");
  }
}

TEST(Leaving, WithoutAWordDoesAsTheOptionSays) {
  using vmm::gdb::OnDisconnect;
  const auto calls_after = [](OnDisconnect policy, std::string_view packets) {
    FakeDebugTarget target;
    test::QueuedEvents listener;
    test::StringWire wire;
    {
      vmm::gdb::Session session(target, listener, wire, vmm::gdb::OnKill::Detach, policy);
      session.receive(packets);
    }
    EXPECT_THAT(target.breakpoints(), IsEmpty());
    return target.calls();
  };
  const std::string stopped = framed("Z0,10,1");
  const std::string running = framed("Z0,10,1") + framed("c");
  EXPECT_THAT(calls_after(OnDisconnect::Resume, stopped), ElementsAre("attach", "detach"));
  EXPECT_THAT(calls_after(OnDisconnect::Stay, stopped), ElementsAre("attach", "detach stopped"));
  EXPECT_THAT(calls_after(OnDisconnect::Kill, stopped), ElementsAre("attach", "kill", "detach stopped"));
  EXPECT_THAT(calls_after(OnDisconnect::Stay, running), ElementsAre("attach", "resume", "detach stopped"));
  // Who has said good-bye has not been cut off; who has never said a packet was no debugger.
  for (const auto policy : {OnDisconnect::Stay, OnDisconnect::Kill}) {
    EXPECT_THAT(calls_after(policy, stopped + framed("D")), ElementsAre("attach", "detach"));
    EXPECT_THAT(calls_after(policy, stopped + framed("k")), ElementsAre("attach", "detach"));
    EXPECT_THAT(calls_after(policy, "GET / HTTP/1.1"), IsEmpty());
  }
}

TEST(Leaving, IsOverWhenAttachingFails) {
  Conversation with;
  with.target.fail_next({uvm::ErrorKind::Busy, "vcpu1 does not stop"});
  EXPECT_EQ(with.ask("qSupported"), "E10");
  EXPECT_TRUE(with.session.is_over());
}

}  // namespace run_control_test

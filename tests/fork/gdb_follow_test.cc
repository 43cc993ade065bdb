// Stock gdb and a guest that is forked: `monitor fork`, and what becomes of breakpoints in the copy.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "tests/support/debug_support.h"
#include "tests/support/kvm_machine.h"
#include "tests/support/places.h"
#include "tests/support/process.h"
#include "tests/support/temp_folder.h"

namespace gdb_follow_test {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

/// The debugee, whose processors call work() at 0x100200 for ever, and gdb with a breakpoint there.
class GdbFollow : public testing::Test {
 protected:
  void SetUp() override {
    UVMM_REQUIRE_KVM();
    if (!test::has_gdb()) GTEST_SKIP() << "gdb is not installed (package gdb)";
    if (!test::can_trap()) GTEST_SKIP() << "no trap byte comes back from CPL 0 on this host";
  }

  /// What gdb prints of `commands`, given when the breakpoint has been hit for the first time. In them $U is
  /// uvmm, $p the parent's process, $d where the first copy's door is. Afterwards every machine is told to
  /// quit, and `ended=STATUS` is the parent's.
  [[nodiscard]] std::string say(const std::vector<std::string>& commands) const {
    std::string script =
        "export XDG_RUNTIME_DIR=" + folder_.path() + " U=" + test::build_dir() +
        "/uvmm\nexport s=$XDG_RUNTIME_DIR/door\n"
        "$U run --builtin debugee -c 2 -S --console none --gdb unix:$s & export p=$!\n"
        "while [ ! -S $s ] && kill -0 $p; do sleep 0.05; done\n"
        "export d=$XDG_RUNTIME_DIR/uvmm/uvmm-$p.1.gdb\n"
        "cat >$s.gdb <<END\nset debuginfod enabled off\nset remotetimeout 60\nset confirm off\n"
        "target remote $s\nset {long}0x100020 = 1000000000\nbreak *0x100200\ncontinue\n";
    for (const std::string& command : commands) script += command + "\n";
    script +=
        "END\ngdb -batch -nx -x $s.gdb 2>&1\n"
        "while [ ! -S $XDG_RUNTIME_DIR/uvmm/uvmm-$p.sock ] && kill -0 $p; do sleep 0.05; done\n"
        "for m in $XDG_RUNTIME_DIR/uvmm/*.sock; do $U quit $m; done\n"
        "(sleep 20; kill $p) >/dev/null 2>&1 & k=$!\nwait $p; echo ended=$?; kill $k\n";
    const auto done = test::run_process({"/bin/bash", "-c", script}, {std::chrono::seconds(120), {}});
    return done.out + done.err;
  }

  const test::TempFolder folder_{"follow"};
};

TEST_F(GdbFollow, ACopyRunsWithoutTheBreakpointAndHasADoorOfItsOwn) {
  const std::string all =
      say({"monitor fork", "continue", "add-inferior -no-connection", "inferior 2", "target remote $d",
           "output/x *(char*)0x100200", "echo \\n", "output *(long*)0x100028 > 20", "echo \\n", "continue"});
  EXPECT_THAT(
      all, HasSubstr("is a copy of this machine; its control socket is " + folder_.path() + "/uvmm/uvmm-"));
  EXPECT_THAT(all, HasSubstr("inferior 2; target remote " + folder_.path() + "/uvmm/uvmm-"));
  EXPECT_THAT(all, HasSubstr("\n0xf0\n1\n")) << "the copy has the trap, or has stood still";
  EXPECT_THAT(all, ContainsRegex("Thread 2.[12] \"vcpu[01]\" hit Breakpoint"));
  EXPECT_THAT(all, HasSubstr("ended=0"));
}

TEST_F(GdbFollow, AForkThatCannotBeIsOneLineAndTheMachineGoesOn) {
  const std::string socket = "$XDG_RUNTIME_DIR/uvmm/uvmm-$p.sock";
  const std::string all =
      say({"shell mv " + socket + " $s.away", "shell (sleep 1; mv $s.away " + socket + ") >/dev/null 2>&1 &",
           "monitor fork"});
  EXPECT_THAT(all, HasSubstr("ended at once; see what uvmm has printed"));
  EXPECT_THAT(all, HasSubstr("ended=0"));
}

TEST_F(GdbFollow, ADebuggerThatDoesNotFollowLetsTheCopyRunAtOnce) {
  const std::string all = say({"disconnect", "set remote fork-event-feature-packet off", "target remote $s",
                               "set variable \\$begin = *(long*)0x100028", "monitor fork", "shell sleep 0.3",
                               "add-inferior -no-connection", "inferior 2", "target remote $d",
                               "output *(long*)0x100028 > \\$begin + 20", "echo \\n"});
  EXPECT_THAT(all, HasSubstr("\n1\n")) << "the copy has stood still";
  EXPECT_THAT(all, HasSubstr("ended=0"));
}

TEST_F(GdbFollow, CatchForkStopsTheRunningMachineAndTheCopyIsLetGo) {
  const std::string all =
      say({"catch fork", "delete 1", "shell (sleep 0.3; exec $U fork $p --console none) >/dev/null 2>&1 &",
           "continue", "info inferiors", "break *0x100200", "continue", "shell $U list"});
  EXPECT_THAT(all, ContainsRegex("hit Catchpoint 2 .forked process [0-9]+."));
  EXPECT_THAT(all, HasSubstr("* 1    process 1 "));
  EXPECT_THAT(all, HasSubstr("[Detaching after fork from child process"));
  EXPECT_THAT(all, HasSubstr("hit Breakpoint 3, 0x0000000000100200"));
  EXPECT_THAT(all, ContainsRegex("SOCKET  CHECKPOINTS\nuvmm .* running .*\nuvmm .* running "));
  EXPECT_THAT(all, HasSubstr("ended=0"));
}

TEST_F(GdbFollow, WhoeverComesInByTheCopysOwnDoorHasIt) {
  const std::string all = say({"output/x \\$rip", "echo \\n", "monitor fork", "add-inferior -no-connection",
                               "inferior 2", "target remote $d", "info threads", "inferior 1", "continue"});
  EXPECT_THAT(all, HasSubstr("\n0x100200\nprocess ")) << all;
  // Whichever vCPU was the first there.
  EXPECT_THAT(all,
              ContainsRegex("Switching to inferior 2[^~]*0x0000000000100200[^~]*Switching to inferior 1"))
      << "the copy did not wait";
  EXPECT_THAT(all, HasSubstr("is not followed: the copy has ended, or has another debugger"));
  EXPECT_THAT(all, HasSubstr("ended=0"));
}

/// For gdb's `shell`: a moment from now, every machine but the parent quits.
constexpr const char* kCopiesQuit =
    "shell (sleep 0.3; for m in $XDG_RUNTIME_DIR/uvmm/*.sock; do "
    "[ \\$m = $XDG_RUNTIME_DIR/uvmm/uvmm-$p.sock ] || $U quit \\$m; done) >/dev/null 2>&1 &";

TEST_F(GdbFollow, FollowForkModeChildGoesOnWithTheCopy) {
  const std::string all = say({"set follow-fork-mode child", "monitor fork", "continue", "info threads",
                               "stepi", "delete", "shell (sleep 0.3; kill -INT \\$PPID) &", "continue",
                               "info inferiors", "shell $U list", kCopiesQuit, "continue"});
  EXPECT_THAT(all, ContainsRegex("hit Breakpoint 1, 0x0000000000100200 in .*\nprocess "));
  EXPECT_THAT(all, HasSubstr("[Inferior 1 (process 1) detached]"));
  EXPECT_THAT(all, ContainsRegex("Thread 2.[12] .* hit Breakpoint 1, 0x0000000000100200"));
  EXPECT_THAT(all, ContainsRegex("\n. 2.2 +Thread [0-9]+.2 .vcpu1. .running, CPL 0."));
  EXPECT_THAT(all, HasSubstr("\n0x0000000000100208 in ")) << "stepi";
  EXPECT_THAT(all, ContainsRegex("Thread 2.[12] .* received signal SIGINT"));
  EXPECT_THAT(all, ContainsRegex("\n  1    <null> .*\n. 2    process [0-9]+ "));
  EXPECT_THAT(all, ContainsRegex("SOCKET  CHECKPOINTS\nuvmm .* running .*\nuvmm .* running "));
  EXPECT_THAT(all, ContainsRegex("Inferior 2 .process [0-9]+. exited normally"));
  EXPECT_THAT(all, HasSubstr("ended=0"));
}

TEST_F(GdbFollow, WithDetachOnForkOffBothAreHeld) {
  const std::string all = say({"set detach-on-fork off",
                               "monitor fork",
                               "continue",
                               "info threads",
                               "set {long}0x100028 = 7",
                               "inferior 2",
                               "output *(long*)0x100028 != 7",
                               "echo \\n",
                               "continue",
                               "delete",
                               "output/x *(char*)0x100200",
                               "echo \\n",
                               "set schedule-multiple on",
                               "continue",
                               "set schedule-multiple off",
                               "detach inferior 2",
                               "inferior 1",
                               "info inferiors",
                               "output *(long*)0x100028",
                               "echo \\n"});
  EXPECT_THAT(all, ContainsRegex("Thread 1.[12] .* hit Breakpoint 1.1, 0x0000000000100200"));
  EXPECT_THAT(all, ContainsRegex("1.1 +Thread 1.1 .*1.2 +Thread 1.2 .*2.1 +Thread [0-9]+.1 .*2.2 +Thread "));
  EXPECT_THAT(all, HasSubstr("\n1\n")) << "a write to the parent has reached the copy";
  EXPECT_THAT(all, ContainsRegex("Thread 2.[12] .* hit Breakpoint 1.2, 0x0000000000100200"));
  EXPECT_THAT(all, HasSubstr("\n0xf0\n"));
  EXPECT_THAT(all, HasSubstr("One of machine and copies runs at a time; set schedule-multiple off"));
  EXPECT_THAT(all, ContainsRegex("Inferior 2 .process [0-9]+. detached"));
  EXPECT_THAT(all, HasSubstr("* 1    process 1 "));
  EXPECT_THAT(all, HasSubstr("\n7\n"));
  EXPECT_THAT(all, HasSubstr("ended=0"));
}

}  // namespace gdb_follow_test

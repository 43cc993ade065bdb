// The program with its debugger's door open, and stock gdb coming in.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

#include "guest/programs/debugee_layout.h"
#include "tests/support/debug_support.h"
#include "tests/support/kvm_machine.h"
#include "tests/support/places.h"
#include "tests/support/process.h"
#include "tests/support/rsp_client.h"
#include "tests/support/socket_path.h"
#include "vmm/gdb/hex.h"
#include "vmm/gdb/packet_writer.h"
#include "vmm/machine/machine.h"

namespace gdb_command_test {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using vmm::gdb::framed;

#define REQUIRE_GDB() \
  UVMM_REQUIRE_KVM(); \
  if (!test::has_gdb()) GTEST_SKIP() << "gdb is not installed (package gdb)"

bool can_trap_and_step() {
  return test::can_trap() && test::debug_support().supervisor.single_step;
}

/// Starts `uvmm run --builtin debugee --gdb unix:… -S ARGUMENTS`, then runs the shell lines `then` with $g
/// for a gdb that has connected (its commands follow), and prints how uvmm ended.
test::ProcessResult with_gdb(const std::string& arguments, const std::string& then) {
  const std::string path = test::socket_path("door");
  return test::run_process({"/bin/bash", "-c",
                            std::string("U=") + test::build_dir() + "/uvmm; s=" + path +
                                "\n$U run --builtin debugee -c 2 -S --gdb unix:$s " + arguments +
                                " & p=$!\nwhile [ ! -S $s ] && kill -0 $p; do sleep 0.05; done\n" +
                                "g=\"gdb -batch -nx -iex 'set debuginfod enabled off' -iex 'set "
                                "remotetimeout 60' -ex 'target remote " +
                                path + "'\"\n" + then +
                                "\nwait $p; echo ended=$?; [ ! -e $s ] && echo removed"});
}

TEST(GdbCommand, TheGuestWaitsForItsDebuggerAndGoesOnWithoutIt) {
  REQUIRE_GDB();
  const auto result = with_gdb(
      "",
      "eval $g -ex \"'p/x \\$rip'\" -ex \"'info threads'\" -ex \"'p \\$cr0'\" -ex \"'x/gx 0x100020'\" "
      "-ex \"'x/b 0xffff888000000000'\" -ex \"'monitor help'\" -ex detach");
  const std::string all = result.out + result.err;
  EXPECT_THAT(all, HasSubstr("$1 = 0x100000"));
  EXPECT_THAT(all, HasSubstr("Thread 1.2"));
  EXPECT_THAT(all, HasSubstr("$2 = [ PE "));
  EXPECT_THAT(all, HasSubstr("0x100020:\t0x00000000000001f4"));
  EXPECT_THAT(all, HasSubstr("Cannot access memory at address 0xffff888000000000"));
  EXPECT_THAT(all, HasSubstr("debug-caps"));
  EXPECT_THAT(all, HasSubstr("ended=0"));
  EXPECT_THAT(all, HasSubstr("removed"));
}

TEST(GdbCommand, BreakpointsStepsAndTheGuestsEnd) {
  REQUIRE_GDB();
  if (!can_trap_and_step()) GTEST_SKIP() << "no trap byte or no single step at CPL 0 on this host";
  const auto result =
      with_gdb("",
               "eval $g -ex \"'break *0x100200'\" -ex continue -ex \"'p/x \\$rip'\" -ex stepi "
               "-ex \"'x/xb 0x100200'\" -ex delete -ex continue");
  const std::string all = result.out + result.err;
  EXPECT_THAT(all, HasSubstr("hit Breakpoint 1, 0x0000000000100200"));
  EXPECT_THAT(all, HasSubstr("$1 = 0x100200"));
  EXPECT_THAT(all, HasSubstr("0x100200:\t0xf0"));  // the guest's own byte, not the trap
  EXPECT_THAT(all, HasSubstr("exited normally"));
  EXPECT_THAT(all, HasSubstr("ended=0"));
}

TEST(GdbCommand, TheNextReleasesGdbReadsInBinary) {
  UVMM_REQUIRE_KVM();
  const char* const newer = std::getenv("UVMM_NEWER_GDB");
  if (newer == nullptr)
    GTEST_SKIP() << "no gdb 16 (UVMM_NEWER_GDB names one; tests/gdb/newer_gdb.sh fetches it)";
  const std::string file = test::socket_path("door") + ".bin";
  // Every byte that the packets have to escape, at every place.
  const auto result = with_gdb(
      "", "g=\"" + std::string(newer) + " ${g#gdb}\"; f=" + file +
              "; head -c 300000 /dev/urandom >$f; for i in $(seq 999); do printf '#$}*\\003'; done >>$f; "
              "eval $g -ex \"'restore $f binary 0x1000000'\" "
              "-ex \"'dump binary memory $f.out 0x1000000 0x1000000+304995'\" "
              "-ex \"'show remote binary-upload-packet'\" -ex \"'p/x \\$rip'\" -ex detach; "
              "cmp $f $f.out && echo same; rm -f $f $f.out");
  const std::string all = result.out + result.err;
  EXPECT_THAT(all, HasSubstr("\nsame\n"));
  EXPECT_THAT(all, HasSubstr("$1 = 0x100000"));
  EXPECT_THAT(all, HasSubstr("'x' packet"));
  EXPECT_THAT(all, HasSubstr("currently enabled"));
  EXPECT_THAT(all, HasSubstr("ended=0"));
}

TEST(GdbCommand, AVariableIsWatchedInSoftware) {
  REQUIRE_GDB();
  if (!can_trap_and_step()) GTEST_SKIP() << "no trap byte or no single step at CPL 0 on this host";
  const auto result =
      with_gdb("",
               "eval $g -ex \"'set can-use-hw-watchpoints 0'\" -ex \"'watch *(long*)0x100028'\" "
               "-ex continue -ex \"'x/i \\$pc'\" -ex delete -ex continue");
  const std::string all = result.out + result.err;
  EXPECT_THAT(all, HasSubstr("Watchpoint 1: *(long*)0x100028"));
  EXPECT_THAT(all, HasSubstr("Old value = 0"));
  EXPECT_THAT(all, HasSubstr("New value = "));
  EXPECT_THAT(all, HasSubstr("ended=0"));
}

TEST(GdbCommand, AHardwareWatchpointIsHitOrRefusedAndTheGuestGoesOn) {
  REQUIRE_GDB();
  const auto result =
      with_gdb("",
               "eval $g -ex \"'watch *(long*)0x100028'\" -ex continue -ex delete -ex continue "
               "-ex detach");
  const std::string all = result.out + result.err;
  EXPECT_THAT(all, HasSubstr("Hardware watchpoint 1"));
  const auto support = vmm::kvm::probe_debug_support();
  ASSERT_TRUE(support);
  EXPECT_THAT(all, HasSubstr(support->supervisor.watchpoint ? "New value = "
                                                            : "Could not insert hardware watchpoint 1"));
  EXPECT_THAT(all, HasSubstr("ended=0"));
}

TEST(GdbCommand, DebuggersMayComeAndGo) {
  REQUIRE_GDB();
  const auto result =
      with_gdb("",
               "for i in 1 2 3 4; do eval $g -ex \"'set {long}0x100010 = 0'\" -ex detach; done; "
               "eval $g -ex \"'set {long}0x100010 = 1'\" -ex kill");
  EXPECT_THAT(result.out + result.err, HasSubstr("ended=0"));
  EXPECT_THAT(result.out + result.err, Not(HasSubstr("Connection")));
}

TEST(GdbCommand, KillEndsTheGuestWhenAskedFor) {
  REQUIRE_GDB();
  // With its gate closed the guest would never end by itself.
  const auto result = with_gdb("--gdb-on-kill=kill", "eval $g -ex \"'set {long}0x100010 = 0'\" -ex kill");
  EXPECT_THAT(result.out, HasSubstr("ended=0"));
}

TEST(GdbCommand, ASignalEndsAMachineThatADebuggerHolds) {
  REQUIRE_GDB();
  const auto result = with_gdb("", "eval $g -ex \"'shell kill -TERM '$p\" -ex continue");
  EXPECT_THAT(result.out, HasSubstr("ended=" + std::to_string(128 + SIGTERM)));
}

TEST(GdbCommand, APlaceThatCannotBeListenedAtIsOneLine) {
  UVMM_REQUIRE_KVM();
  const auto result = test::run_process({test::uvmm_path(), "run", "--builtin", "hello", "--gdb",
                                         "unix:" + testing::TempDir() + "no/such/folder/x"});
  EXPECT_EQ(result.status, 2);
  EXPECT_THAT(result.err, HasSubstr("no/such/folder/x: bind"));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
}

/// A machine with an open door in this process.
class OpenMachine {
 public:
  explicit OpenMachine(std::uint32_t vcpus) {
    auto config = test::builtin_config("debugee");
    config.vcpus = vcpus;
    config.gdb.listen = vmm::gdb::ListenAddress{};
    config.gdb.listen->path = test::socket_path("door");
    config.gdb.at_start = vmm::gdb::AtStart::Wait;
    address_ = *config.gdb.listen;
    auto created = vmm::Machine::create(config);
    EXPECT_TRUE(created) << created.error().text();
    machine_ = *std::move(created);
    thread_ = std::thread([this] { status_ = machine_->run().value().status; });
  }
  ~OpenMachine() { static_cast<void>(end()); }
  OpenMachine(const OpenMachine&) = delete;
  OpenMachine& operator=(const OpenMachine&) = delete;

  [[nodiscard]] const vmm::gdb::ListenAddress& address() const { return address_; }
  /// Ends it, if it has not ended yet.
  int end() {
    machine_->stop();
    return wait();
  }
  int wait() {
    if (thread_.joinable()) thread_.join();
    return status_;
  }

 private:
  vmm::gdb::ListenAddress address_;
  std::unique_ptr<vmm::Machine> machine_;
  std::thread thread_;
  int status_ = -1;
};

TEST(GdbDoor, AnswersEveryInterruptOfBusyVcpus) {
  UVMM_REQUIRE_KVM();
  OpenMachine machine(4);
  test::RspClient client(machine.address());
  ASSERT_TRUE(client.ask("qSupported:multiprocess+;swbreak+").has_value());
  ASSERT_EQ(client.ask("M100010,8:0000000000000000"), "OK");  // the gate stays closed
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(client.send(framed("vCont;c:p1.-1")));
    ASSERT_TRUE(client.send("\x03"));
    ASSERT_THAT(client.receive(), testing::Optional(StartsWith("T02"))) << i;
  }
}

TEST(GdbDoor, ADebuggerMayLeaveAtAnyByteOfARealMachine) {
  UVMM_REQUIRE_KVM();
  OpenMachine machine(2);
  {
    test::RspClient first(machine.address());
    ASSERT_EQ(first.ask("M100010,8:0000000000000000"), "OK");
  }
  const std::string bytes =
      framed("?") + framed("Z0,100200,1") + framed("X100800,2:ab") + framed("vCont;c") + "\x03";
  for (std::size_t cut = 1; cut <= bytes.size(); ++cut) {
    test::RspClient client(machine.address());
    client.send(bytes.substr(0, cut));
  }
  // The last one has been let go when a packet is answered.
  std::optional<std::string> opened;
  for (int i = 0; i < 100000 && !opened; ++i) {
    test::RspClient last(machine.address());
    opened = last.ask("M100010,8:0100000000000000");
  }
  EXPECT_EQ(opened, "OK");
  EXPECT_EQ(machine.wait(), 0);  // all breakpoints are gone, and every call was counted
}

TEST(GdbDoor, TellsAWaitingDebuggerHowTheMachineEnded) {
  UVMM_REQUIRE_KVM();
  OpenMachine machine(2);
  test::RspClient client(machine.address());
  ASSERT_TRUE(client.ask("qSupported:multiprocess+").has_value());
  ASSERT_TRUE(client.send(framed("vCont;c")));
  EXPECT_EQ(client.receive(), "W00;process:1");
  EXPECT_TRUE(client.sees_the_end());
  EXPECT_EQ(machine.wait(), 0);
}

TEST(GdbDoor, EndsWithADebuggerInsideIt) {
  UVMM_REQUIRE_KVM();
  OpenMachine machine(2);
  test::RspClient client(machine.address());
  ASSERT_TRUE(client.ask("?").has_value());
  EXPECT_EQ(machine.end(), 0);
  EXPECT_TRUE(client.sees_the_end());
}

}  // namespace gdb_command_test

// Stock gdb and lldb against a fake machine: what they really send, and whether they are content.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "tests/support/process.h"
#include "tests/vmm/gdb/served_target.h"
#include "vmm/gdb/hex.h"

namespace debugger_test {

using test::FakeDebugTarget;
using test::ServedTarget;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

bool is_installed(const std::string& program) {
  return test::run_process({"/bin/sh", "-c", "command -v " + program}).status == 0;
}

constexpr std::uint64_t kCode = 0xffffffff81000000;

void prepare(ServedTarget& served) {
  served.target.map(kCode, 0x4000);
  served.target.map(kCode + 0x100, vmm::gdb::bytes_of("needle in guest memory"));
  for (std::uint32_t tid = 1; tid <= 2; ++tid) {
    vmm::gdb::RegisterFile& file = served.target.registers(tid);
    file.rip = kCode + 0x10 * tid;
    file.rflags = 2;
    file.cr3 = 0x1234000;
    file.efer = 0xd01;
    file[vmm::gdb::Segment::Gs].base = 0xffff888000000000;
  }
}

/// Runs gdb's commands after `target remote`; gives all that it printed.
std::string gdb(const ServedTarget& served, const std::vector<std::string>& commands) {
  std::vector<std::string> words = {"/usr/bin/env", "gdb",
                                    "-batch",       "-nx",
                                    "-iex",         "set debuginfod enabled off",
                                    "-iex",         "set remotetimeout 60",
                                    "-ex",          "target remote " + served.address().path};
  for (const std::string& each : commands) {
    words.emplace_back("-ex");
    words.push_back(each);
  }
  const auto result = test::run_process(words);
  const std::string all = result.out + result.err;
  for (const char* complaint : {"Truncated", "too long", "protocol error", "Protocol error",
                                "Ignoring packet", "Could not load", "Remote failure"})
    EXPECT_THAT(all, Not(HasSubstr(complaint)));
  return all;
}

#define REQUIRE_PROGRAM(program) \
  if (!is_installed(program)) GTEST_SKIP() << program " is not installed (package " program ")"

TEST(StockGdb, ReadsAndWritesRegisters) {
  REQUIRE_PROGRAM("gdb");
  ServedTarget served;
  prepare(served);
  const std::string out =
      gdb(served, {"p/x $rip", "p/x $cr3", "p $efer", "p/x $gs_base", "p/x $orig_rax", "p/x $dr7",
                   "set $rax = 0x1122334455667788", "p/x $rax", "set $xmm1.v4_int32[0] = 77",
                   "p $xmm1.v4_int32[0]", "info registers rip eflags", "info all-registers"});
  EXPECT_THAT(out, HasSubstr("$1 = 0xffffffff81000010"));
  EXPECT_THAT(out, HasSubstr("$2 = 0x1234000"));
  EXPECT_THAT(out, HasSubstr("$3 = [ SCE LME LMA NXE ]"));
  EXPECT_THAT(out, HasSubstr("$4 = 0xffff888000000000"));
  EXPECT_THAT(out, HasSubstr("$5 = 0xffffffffffffffff"));
  EXPECT_THAT(out, HasSubstr("$6 = 0x0"));
  EXPECT_THAT(out, HasSubstr("$7 = 0x1122334455667788"));
  EXPECT_THAT(out, HasSubstr("$8 = 77"));
  EXPECT_EQ(served.target.registers(1)[vmm::gdb::Gpr::Rax], 0x1122334455667788U);
  EXPECT_TRUE(served.is_left_alone());
}

TEST(StockGdb, ReadsWritesAndSearchesMemory) {
  REQUIRE_PROGRAM("gdb");
  ServedTarget served;
  prepare(served);
  const std::string out =
      gdb(served,
          {"x/s 0xffffffff81000100", "set {int}0xffffffff81000200 = 0x41424344", "x/4xb 0xffffffff81000200",
           "find 0xffffffff81000000, +0x4000, 'g', 'u', 'e', 's', 't'", "x/xb 0xffffffff90000000",
           "dump binary memory /dev/null 0xffffffff81000000 0xffffffff81004000"});
  EXPECT_THAT(out, HasSubstr("\"needle in guest memory\""));
  EXPECT_THAT(out, HasSubstr("0x44\t0x43\t0x42\t0x41"));
  EXPECT_THAT(out, HasSubstr("0xffffffff8100010a"));
  EXPECT_THAT(out, HasSubstr("1 pattern found"));
  EXPECT_THAT(out, HasSubstr("Cannot access memory at address 0xffffffff90000000"));
  EXPECT_EQ(served.target.bytes_at(kCode + 0x200, 4), "DCBA");
}

TEST(StockGdb, ListsThreadsByName) {
  REQUIRE_PROGRAM("gdb");
  ServedTarget served;
  prepare(served);
  const std::string out = gdb(served, {"info threads", "thread 2", "p/x $rip"});
  EXPECT_THAT(out, HasSubstr("Thread 1.1 \"vcpu0\" (halted, CPL 0 <idle>)"));
  EXPECT_THAT(out, HasSubstr("Thread 1.2 \"vcpu1\""));
  EXPECT_THAT(out, HasSubstr("$1 = 0xffffffff81000020"));
}

TEST(StockGdb, BreaksStepsAndGoesOn) {
  REQUIRE_PROGRAM("gdb");
  ServedTarget served;
  prepare(served);
  const std::string out =
      gdb(served, {"break *0xffffffff81000080", "hbreak *0xffffffff81000090", "continue", "p/x $rip", "stepi",
                   "p/x $rip", "continue", "p/x $rip", "delete", "detach"});
  EXPECT_THAT(out, HasSubstr("Thread 1 \"vcpu0\" hit Breakpoint 1, 0xffffffff81000080"));
  EXPECT_THAT(out, HasSubstr("$1 = 0xffffffff81000080"));
  EXPECT_THAT(out, HasSubstr("$2 = 0xffffffff81000081"));
  EXPECT_THAT(out, HasSubstr("$3 = 0xffffffff81000090"));
  EXPECT_TRUE(served.is_left_alone());
}

TEST(StockGdb, MovesOneVcpuOnlyWhenTheSchedulerIsLocked) {
  REQUIRE_PROGRAM("gdb");
  ServedTarget served;
  prepare(served);
  gdb(served, {"set scheduler-locking on", "thread 2", "stepi"});
  const auto alone = served.target.last_actions();
  ASSERT_EQ(alone.size(), 1U);
  EXPECT_EQ(alone[0].thread.tid, 2U);
  gdb(served, {"set scheduler-locking off", "thread 2", "stepi"});
  EXPECT_EQ(served.target.last_actions().size(), 2U);
}

TEST(StockGdb, TalksToTheMonitor) {
  REQUIRE_PROGRAM("gdb");
  ServedTarget served;
  const std::string out = gdb(served, {"monitor echo hello from the machine"});
  EXPECT_THAT(out, HasSubstr("hello from the machine"));
}

TEST(StockGdb, KillLeavesTheGuestRunning) {
  REQUIRE_PROGRAM("gdb");
  ServedTarget served;
  prepare(served);
  gdb(served, {"break *0xffffffff81000080", "continue", "kill"});
  EXPECT_TRUE(test::eventually([&] { return served.is_left_alone(); }));
  EXPECT_THAT(served.target.calls(), Not(Contains("kill")));
}

TEST(StockGdb, MovesSymbolsToWhereTheKernelIs) {
  REQUIRE_PROGRAM("gdb");
  ServedTarget served;
  prepare(served);
  served.target.set_kernel_text(kCode);
  // Any ELF file with symbols will do for qOffsets: this test's own program.
  const auto result =
      test::run_process({"/usr/bin/env", "gdb", "-batch", "-nx", "-iex", "set debuginfod enabled off", "-iex",
                         "set auto-load off", "-ex", "symbol-file /proc/self/exe", "-ex",
                         "set debug remote 1", "-ex", "target remote " + served.address().path});
  EXPECT_THAT(result.out + result.err, HasSubstr("TextSeg=ffffffff81000000"));
}

/// The newest lldb that Debian 12 has installed under a name of its own, or plain `lldb`; empty for none.
std::string lldb_program() {
  for (const char* name : {"lldb-19", "lldb-16", "lldb-15", "lldb"})
    if (is_installed(name)) return name;
  return {};
}

TEST(StockLldb, AttachesReadsAndLeaves) {
  const std::string lldb = lldb_program();
  if (lldb.empty()) GTEST_SKIP() << "no lldb is installed (package lldb-16)";
  ServedTarget served(vmm::gdb::ListenAddress{});
  prepare(served);
  const auto result =
      test::run_process({"/usr/bin/env", lldb,
                         "--batch",      "--no-lldbinit",
                         "-o",           "settings set plugin.process.gdb-remote.packet-timeout 60",
                         "-o",           "gdb-remote 127.0.0.1:" + std::to_string(served.address().port),
                         "-o",           "register read rip cr3",
                         "-o",           "memory read -f x -s 1 -c 4 0xffffffff81000100",
                         "-o",           "memory region 0xffffffff81000100",
                         "-o",           "thread list",
                         "-o",           "register write rax 0x1234",
                         "-o",           "thread step-inst",
                         "-o",           "register read rip",
                         "-o",           "detach"});
  const std::string out = result.out + result.err;
  EXPECT_THAT(out, HasSubstr("rip = 0xffffffff81000010"));
  EXPECT_THAT(out, HasSubstr("cr3 = 0x0000000001234000"));
  EXPECT_THAT(out, HasSubstr("0x6e 0x65 0x65 0x64"));
  EXPECT_THAT(out, HasSubstr("[0xffffffff81000000-0xffffffff81001000) rw-"));
  EXPECT_THAT(out, HasSubstr("thread #2"));
  EXPECT_THAT(out, HasSubstr("rip = 0xffffffff81000011"));
  EXPECT_EQ(served.target.registers(1)[vmm::gdb::Gpr::Rax], 0x1234U);
  EXPECT_TRUE(test::eventually([&] { return served.is_left_alone(); }));
}

TEST(StockLldb, LeavesTheGuestRunningWhenItsSessionJustEnds) {
  const std::string lldb = lldb_program();
  if (lldb.empty()) GTEST_SKIP() << "no lldb is installed (package lldb-16)";
  ServedTarget served(vmm::gdb::ListenAddress{});
  prepare(served);
  const auto result = test::run_process({"/usr/bin/env", lldb, "--batch", "--no-lldbinit", "-o",
                                         "gdb-remote 127.0.0.1:" + std::to_string(served.address().port),
                                         "-o", "breakpoint set -a 0xffffffff81000080", "-o", "continue"});
  EXPECT_THAT(result.out + result.err, HasSubstr("stop reason = breakpoint"));
  EXPECT_TRUE(test::eventually([&] { return served.is_left_alone(); }));
  EXPECT_THAT(served.target.calls(), Not(Contains("kill")));
}

}  // namespace debugger_test

// One gdb through every mode of a processor: it never has to connect again, and what it is told about
// registers never changes its shape.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "tests/support/kvm_machine.h"
#include "tests/support/places.h"
#include "tests/support/process.h"
#include "vmm/kvm/probe.h"

namespace gdb_modes_test {

using ::testing::HasSubstr;
using ::testing::Not;

/// Steps until the processor is in long mode, and names each mode when it comes.
constexpr const char* kStepThrough = R"(
def mode():
    cr0 = int(gdb.parse_and_eval("(long)$cr0"))
    efer = int(gdb.parse_and_eval("(long)$efer"))
    return ("long" if efer & 0x400 else "paged") if cr0 >> 31 & 1 else ("protected" if cr0 & 1 else "real")

seen = [mode()]
for _ in range(100):
    gdb.execute("stepi", to_string=True)
    if mode() != seen[-1]:
        seen.append(mode())
    if int(gdb.parse_and_eval("(long)$cs")) == 0x18:
        break
print("modes:", *seen)
print("table:", hex(int(gdb.parse_and_eval("*(unsigned long *)0x12000")) & ~0x60))
)";

TEST(GdbModes, OneConnectionFromRealModeToLongMode) {
  UVMM_REQUIRE_KVM();
  if (test::run_process({"/bin/sh", "-c", "command -v gdb"}).status != 0)
    GTEST_SKIP() << "gdb is not installed (package gdb)";
  const auto support = vmm::kvm::probe_debug_support();
  if (!support || !support->supervisor.single_step) GTEST_SKIP() << "no single step at CPL 0 on this host";
  const std::string base = testing::TempDir() + "uvmm-modes-" + std::to_string(::getpid());
  std::ofstream(base + ".py") << kStepThrough;
  const auto result = test::run_process(
      {"/bin/bash", "-c",
       std::string("U=") + test::build_dir() + "/uvmm; b=" + base +
           "\n$U run --builtin modes -S --gdb unix:$b & p=$!\n"
           "while [ ! -S $b ] && kill -0 $p; do sleep 0.05; done\n"
           "gdb -batch -nx -iex 'set debuginfod enabled off' -iex 'set remotetimeout 60' -ex \"target remote "
           "$b\" -x $b.py -ex continue\nwait $p; echo ended=$?; rm -f $b.py"});
  const std::string all = result.out + result.err;
  EXPECT_THAT(all, HasSubstr("modes: real protected long"));
  EXPECT_THAT(all, HasSubstr("table: 0x83"));
  EXPECT_THAT(all, HasSubstr("exited normally"));
  EXPECT_THAT(all, HasSubstr("ended=0"));
  EXPECT_THAT(all, Not(HasSubstr("too long")));
}

}  // namespace gdb_modes_test

// A machine that runs, and what the kernel says of its threads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <sstream>
#include <string>

#include "tests/support/kvm_machine.h"
#include "tests/support/places.h"
#include "tests/support/process.h"
#include "tests/support/temp_folder.h"
#include "uvm/base/sanitizers.h"
#include "vmm/confine/landlock.h"

namespace confinement_test {

using ::testing::HasSubstr;

/// Starts a guest with `options`, waits until it answers, runs `script` with $p, $U and $s (its control
/// socket), and ends it; `ended=STATUS` is the last line.
std::string with_guest(const std::string& options, const std::string& script) {
  const test::TempFolder folder("confine");
  const std::string text =
      "export XDG_RUNTIME_DIR=" + folder.path() + " U=" + test::build_dir() + "/uvmm D=" + folder.path() +
      " s=" + folder.path() +
      "/control\ncd $D; $U run --builtin spin -m 64M -c 2 --console none --control $s " + options +
      " & p=$!\nwhile ! $U status $s >/dev/null 2>&1 && kill -0 $p; do sleep 0.05; done\n" + script +
      "\n$U quit $s; wait $p; echo ended=$?\n";
  const auto done = test::run_process({"/bin/bash", "-c", text}, {std::chrono::seconds(100), {}});
  return done.out + done.err;
}

/// The values of a line of each thread's status, each once.
std::string each_thread(const std::string& line) {
  return "echo " + line + "=$(cat /proc/$p/task/*/status | awk '/^" + line +
         ":/ { print $2 }' | sort -u | xargs)";
}

TEST(Confinement, EveryThreadOfAMachineIsUnderAFilter) {
  UVMM_REQUIRE_KVM();
  if (uvm::kSanitized) GTEST_SKIP() << "a sanitizer's own calls are not on the lists";
  const std::string all = with_guest("--pin-socket $D/pins --gdb unix:$D/gdb --memory-limit 32M --swap $D",
                                     each_thread("Seccomp") + "; " + each_thread("NoNewPrivs") +
                                         "; cat /proc/$p/task/*/comm | sort | xargs");
  EXPECT_THAT(all, HasSubstr("Seccomp=2\n"));
  EXPECT_THAT(all, HasSubstr("NoNewPrivs=1\n"));
  EXPECT_THAT(all, HasSubstr("vcpu0 vcpu1"));
  EXPECT_THAT(all, HasSubstr("ended=0"));
}

TEST(Confinement, OffLeavesNoNewPrivilegesOnly) {
  UVMM_REQUIRE_KVM();
  const std::string all =
      with_guest("--seccomp off --landlock off", each_thread("Seccomp") + "; " + each_thread("NoNewPrivs"));
  EXPECT_THAT(all, HasSubstr("Seccomp=0\nNoNewPrivs=1\n"));
}

TEST(Confinement, AMachineOfNobodysIsForkedAndRemovesItsSocket) {
  UVMM_REQUIRE_KVM();
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  const std::string all =
      with_guest("--uid 65534 --gid 65534",
                 each_thread("Uid") + "; timeout -k 1 2 $U fork $s --console none; echo fork=$?");
  EXPECT_THAT(all, HasSubstr("Uid=65534\n"));
  EXPECT_THAT(all, HasSubstr("fork=124\n")) << "the copy has not run until it was ended";
  EXPECT_THAT(all, HasSubstr("ended=0"));
}

TEST(Confinement, ADebuggersDumpGoesWhereItMay) {
  UVMM_REQUIRE_KVM();
  if (test::run_process({"/bin/sh", "-c", "command -v gdb"}).status != 0) {
    GTEST_SKIP() << "gdb is not installed (package gdb)";
  }
  const auto say = [](const std::string& options, const std::string& file) {
    return with_guest(
        options + " --gdb unix:$D/gdb",
        "gdb -batch -nx -ex 'set debuginfod enabled off' -ex \"target remote $D/gdb\" -ex 'monitor "
        "dump-memory " +
            file + " 0x7000 4096' 2>&1");
  };
  EXPECT_THAT(say("", "dump"), HasSubstr("4096 bytes written to dump"));
  const std::string elsewhere = "/var/cache/uvmm-dump-" + std::to_string(::getpid());
  if (::geteuid() != 0) GTEST_SKIP() << "this user may write nowhere else";
  EXPECT_THAT(say("--landlock off", elsewhere), HasSubstr("4096 bytes written"));
  ::unlink(elsewhere.c_str());
  EXPECT_THAT(say("--allow-path /var/cache", elsewhere), HasSubstr("4096 bytes written"));
  if (vmm::confine::Ruleset::host_version() != 0) {
    EXPECT_THAT(say("", elsewhere), HasSubstr("cannot be written"));
  }
  ::unlink(elsewhere.c_str());
}

}  // namespace confinement_test

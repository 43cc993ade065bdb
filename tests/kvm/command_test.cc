// The program as its users run it, with built-in guests.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <string>

#include "tests/support/kvm_machine.h"
#include "tests/support/places.h"
#include "tests/support/process.h"
#include "uvm/base/sanitizers.h"

namespace command_test {

using test::run_process;

/// Runs a shell line in which "$U" is uvmm.
test::ProcessResult shell(const std::string& line) {
  return run_process({"/bin/bash", "-c", "U=" + test::uvmm_path() + "\n" + line});
}

/// Starts `uvmm run ARGS` in the background and waits for its guest's word.
std::string started(const std::string& arguments) {
  return "exec 3< <(exec $U run --builtin spin " + arguments +
         " 2>&1); p=$!; read -r word <&3; [ \"$word\" = spinning ] || exit 99\n";
}

TEST(Command, PrintsTheMapAtTheEnd) {
  UVMM_REQUIRE_KVM();
  const auto result =
      run_process({test::uvmm_path(), "run", "--builtin", "hello", "-m", "64M", "--show-map"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_NE(result.out.find("hello from long mode"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("guest-physical range"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("of 64M"), std::string::npos) << result.out;
}

TEST(Command, PrintsTheMapOnASignalAndGoesOn) {
  UVMM_REQUIRE_KVM();
  const auto result =
      shell(started("-m 64M") +
            "kill -USR1 $p; while read -r line <&3; do echo \"$line\"; case $line in total:*) break;; "
            "esac; done; kill -0 $p || exit 98; kill -TERM $p; wait $p");
  EXPECT_EQ(result.status, 128 + SIGTERM) << result.err;
  EXPECT_NE(result.out.find("guest-physical range"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("total: 1 mappings of 64M"), std::string::npos) << result.out;
}

TEST(Command, EndsByEachSignalWithItsNumber) {
  UVMM_REQUIRE_KVM();
  for (const char* name : {"INT", "TERM", "HUP"}) {
    const auto result = shell(started("-m 64M") + "kill -" + name +
                              " $p; wait $p; [ $? -eq $((128 + $(kill -l " + name + "))) ]");
    EXPECT_EQ(result.status, 0) << name << ": " << result.err;
  }
}

/// What uvmm itself takes, guest pages (shared memory) aside: at most 8 MiB, however large the guest.
TEST(Command, IsSmallItself) {
  UVMM_REQUIRE_KVM();
  if (uvm::kSanitized) GTEST_SKIP() << "a sanitizer's own memory counts here";
  for (const char* memory : {"256M", "64G"}) {
    const auto result =
        shell(started(std::string("-m ") + memory) +
              "awk '/^Rss(Anon|File)/ { sum += $2 } END { print sum }' /proc/$p/status; kill $p");
    ASSERT_EQ(result.status, 0) << result.err;
    const long kilobytes = std::stol(result.out);
    RecordProperty(std::string("own_kib_") + memory, std::to_string(kilobytes));
    EXPECT_GT(kilobytes, 0);
    EXPECT_LE(kilobytes, 8 * 1024) << memory;
  }
}

TEST(Command, TellsATripleFaultInOneLine) {
  UVMM_REQUIRE_KVM();
  const auto result = run_process({test::uvmm_path(), "run", "--builtin", "triple"});
  EXPECT_EQ(result.status, 4);
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_NE(result.err.find("triple fault"), std::string::npos) << result.err;
}

TEST(Command, SaysWhyThereIsNoHost) {
  const auto result =
      run_process({"/usr/bin/unshare", "-m", "/bin/sh", "-c",
                   "mount --bind /dev/null /dev/kvm && exec " + test::uvmm_path() + " run --builtin hello"});
  if (result.err.find("unshare") != std::string::npos || result.err.find("mount:") != std::string::npos) {
    GTEST_SKIP() << "cannot hide /dev/kvm here: " << result.err;
  }
  EXPECT_EQ(result.status, 8) << result.err;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_NE(result.err.find("/dev/kvm"), std::string::npos) << result.err;
}

}  // namespace command_test

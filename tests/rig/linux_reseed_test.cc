// Linux learns that it is a copy, or has gone back in time, and draws other random numbers than whoever it
// was the same as. Debian's cloud kernels have no driver for that (CONFIG_VMGENID), so this is the rig's own
// kernel.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "tests/rig/linux_guest_fixture.h"
#include "tests/support/background_process.h"
#include "tests/support/eventually.h"
#include "tests/support/places.h"
#include "tests/support/process.h"

namespace linux_reseed_test {

using test::BackgroundProcess;
using test::run_process;

constexpr std::chrono::seconds kPatience{300};
const std::string kUvmm = test::uvmm_path();

/// What the guest prints, again and again: "draw NUMBER RANDOM UUID RESEEDS".
struct Draw {
  std::string bytes;  // 32 of getrandom, in hexadecimal
  std::string uuid;
  int reseeds = -1;  // lines of the kernel's log that tell of a copy
};

constexpr const char* kScript =
    "n=0; while true; do n=$((n+1)); echo draw $n $(head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \\n') "
    "$(cat /proc/sys/kernel/random/uuid) $(dmesg | grep -c 'crng reseeded due to virtual machine fork'); "
    "sleep 0.5; done";

std::vector<Draw> draws_in(const std::string& output) {
  std::vector<Draw> draws;
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line) && !lines.eof();) {
    std::istringstream words(line);
    std::string word;
    std::string number;
    Draw draw;
    if (words >> word >> number >> draw.bytes >> draw.uuid >> draw.reseeds && word == "draw")
      draws.push_back(draw);
  }
  return draws;
}

std::string base64(const std::string& text) {
  test::ProcessOptions options;
  options.input = {{"", text}};
  return run_process({"/usr/bin/base64", "-w0"}, options).out;
}

class LinuxReseed : public test::LinuxGuest {
 protected:
  static void SetUpTestSuite() {
    LinuxGuest::SetUpTestSuite();
    const auto kernel = run_process({test::source_dir() + "/tests/rig/kernels.sh", "l1"});
    ASSERT_EQ(kernel.status, 0) << kernel.err;
    std::filesystem::copy_file(kernel.out.substr(0, kernel.out.find('\n')) + "/vmlinuz", file("vmlinuz"),
                               std::filesystem::copy_options::overwrite_existing);
  }

  static std::unique_ptr<BackgroundProcess> start(const std::string& name,
                                                  const std::vector<std::string>& words) {
    std::vector<std::string> all{kUvmm};
    all.insert(all.end(), words.begin(), words.end());
    all.insert(all.end(), {"--control", file(name + ".sock")});
    return std::make_unique<BackgroundProcess>(all, file(name + ".log"));
  }
  static void ask(const std::vector<std::string>& words) {
    std::vector<std::string> all{kUvmm};
    all.insert(all.end(), words.begin(), words.end());
    const auto done = run_process(all);
    EXPECT_EQ(done.status, 0) << words.front() << ": " << done.err;
  }

  /// The next two that `machine` makes; what it was about when it was stopped may be older than that.
  static std::vector<Draw> next_draws(const BackgroundProcess& machine, std::size_t from,
                                      const std::string& who) {
    constexpr std::size_t kUnderWay = 1;
    constexpr std::size_t kWanted = 2;
    std::vector<Draw> draws;
    EXPECT_TRUE(test::eventually([&] {
      draws = draws_in(machine.output(from));
      return draws.size() >= kUnderWay + kWanted;
    })) << who
        << ": " << machine.output(from);
    draws.erase(draws.begin(),
                draws.begin() + static_cast<std::ptrdiff_t>(std::min(kUnderWay, draws.size())));
    return draws;
  }
  /// They are nobody else's, and the kernel has been told as often as this.
  void expect_own(const std::vector<Draw>& draws, int reseeds, const std::string& who) {
    for (const Draw& draw : draws) {
      EXPECT_EQ(draw.bytes.size(), 64u) << who;
      EXPECT_EQ(draw.reseeds, reseeds) << who;
      for (const std::string& drawn : {draw.bytes, draw.uuid}) {
        const auto [at, is_new] = owners_.emplace(drawn, who);
        EXPECT_TRUE(is_new) << drawn << " is drawn by " << at->second << " and by " << who;
      }
    }
  }

  std::map<std::string, std::string> owners_;  // of what was drawn
};

TEST_F(LinuxReseed, CopiesAndResetsDrawNumbersOfTheirOwn) {
  const auto parent = start("parent", {"run", "-k", file("vmlinuz"), "-i", file("initramfs.cpio.gz"), "-p",
                                       "console=ttyS0 panic=-1 quiet uvmm.exec=base64:" + base64(kScript)});
  ASSERT_TRUE(parent->prints("draw 3 ", 0, kPatience)) << parent->output();
  const std::size_t forked = parent->output_size();
  for (const char* name : {"one", "other"}) {
    const auto child = start(name, {"fork", file("parent.sock")});
    expect_own(next_draws(*child, 0, name), 1, name);
    if (name == std::string("other")) ask({"snapshot", file("other.sock"), file("snapshot")});
    ask({"quit", file(name + std::string(".sock"))});
  }
  // A copy of a copy, which has been told before.
  const auto restored = start("restored", {"run", "--restore", file("snapshot"), "--resume"});
  expect_own(next_draws(*restored, 0, "restored"), 2, "restored");
  ask({"quit", file("restored.sock")});

  expect_own(draws_in(parent->output(forked)), 0, "parent");
  ask({"checkpoint", file("parent.sock")});
  for (const char* name : {"first reset", "second reset"}) {
    ask({"reset", file("parent.sock")});
    const std::size_t from = parent->output_size();
    expect_own(next_draws(*parent, from, name), 1, name);
  }
  ask({"quit", file("parent.sock")});
}

}  // namespace linux_reseed_test

// A stock Debian kernel that sums up a file again and again, forked, snapshotted and reset meanwhile: parent,
// children and whoever was restored go on, and no sum is ever wrong.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <regex>
#include <string>
#include <vector>

#include "tests/support/background_process.h"
#include "tests/support/places.h"
#include "tests/support/process.h"
#include "vmm/kvm/probe.h"

namespace linux_fork_test {

namespace fs = std::filesystem;
using test::BackgroundProcess;
using test::run_process;

constexpr std::chrono::seconds kPatience{600};
const std::string kUvmm = test::uvmm_path();

class LinuxFork : public testing::Test {
 protected:
  void SetUp() override {
    const auto verdict = vmm::kvm::can_boot_linux();
    if (!verdict.possible) GTEST_SKIP() << verdict.reason;
    folder_ = fs::temp_directory_path() / "uvmm-linux-fork-test";
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    const auto expected = run_process({"/bin/sh", "-c", "yes uvmm | head -c 6000000 | md5sum"});
    ASSERT_EQ(expected.out.size(), 36U) << expected.err;
    sum_ = expected.out.substr(0, 32);
  }
  void TearDown() override {
    if (!folder_.empty()) fs::remove_all(folder_);
  }

  [[nodiscard]] std::string file(const std::string& name) const { return (folder_ / name).string(); }

  [[nodiscard]] std::unique_ptr<BackgroundProcess> start(const std::string& name,
                                                         const std::vector<std::string>& words) {
    std::vector<std::string> all{kUvmm};
    all.insert(all.end(), words.begin(), words.end());
    all.insert(all.end(), {"--control", file(name + ".sock")});
    return std::make_unique<BackgroundProcess>(all, file(name + ".log"));
  }
  [[nodiscard]] std::unique_ptr<BackgroundProcess> boot(const std::string& name, const std::string& vcpus) {
    return start(
        name, {"run", "-k", test::asset("vmlinuz"), "-i", test::asset("initramfs.cpio.gz"), "-c", vcpus, "-p",
               "console=ttyS0 panic=-1 quiet uvmm.exec=yes,uvmm|head,-c,6000000,>/data;"
               "while,true;do,md5sum,</data;sleep,0.2;done"});
  }

  /// More sums, all of them right.
  void expect_works(BackgroundProcess& machine, const std::string& who, int sums = 3) {
    for (int i = 0; i < sums; ++i) {
      const std::size_t from = machine.output_size();
      ASSERT_TRUE(machine.prints(sum_, from, kPatience)) << who << ": " << machine.output();
    }
    const std::string output = machine.output();
    static const std::regex kSum("[0-9a-f]{32}");
    for (std::sregex_iterator sum(output.begin(), output.end(), kSum), end; sum != end; ++sum) {
      EXPECT_EQ(sum->str(), sum_) << who;
    }
  }

  void ask(const std::vector<std::string>& words) const {
    std::vector<std::string> all{kUvmm};
    all.insert(all.end(), words.begin(), words.end());
    const auto done = run_process(all);
    EXPECT_EQ(done.status, 0) << words.front() << ": " << done.err;
  }

  void everybody_works(const std::string& vcpus) {
    const auto parent = boot("parent", vcpus);
    expect_works(*parent, "parent");
    std::vector<std::unique_ptr<BackgroundProcess>> children;
    for (int i = 1; i <= 3; ++i) {
      // The third is the second's child.
      const std::string source = i == 3 ? "child2" : "parent";
      const std::string name = "child" + std::to_string(i);
      children.push_back(start(name, {"fork", file(source + ".sock")}));
      expect_works(*children.back(), name);
      expect_works(*parent, "parent beside " + name);
    }
    ask({"snapshot", file("child3.sock"), file("snapshot")});
    ask({"quit", file("child2.sock")});
    expect_works(*children[2], "child3 without its parent");
    for (const char* name : {"child1", "child3"}) ask({"quit", file(std::string(name) + ".sock")});
    const auto restored = start("restored", {"run", "--restore", file("snapshot"), "--resume"});
    expect_works(*restored, "restored");
    ask({"quit", file("restored.sock")});
    ask({"checkpoint", file("parent.sock")});
    for (int i = 0; i < 3; ++i) {
      expect_works(*parent, "parent before a reset");
      ask({"reset", file("parent.sock")});
    }
    expect_works(*parent, "parent after its resets");
    ask({"quit", file("parent.sock")});
    EXPECT_EQ(parent->wait(kPatience), 0) << parent->output();
  }

  fs::path folder_;
  std::string sum_;
};

TEST_F(LinuxFork, EverybodyWorksOnTwoProcessors) {
  everybody_works("2");
}

// 50 of them with ./dev test --long.
TEST_F(LinuxFork, EachChildOfManyWorksWhileItsParentWritesOn) {
  const int most = std::getenv("UVMM_LONG_TESTS") == nullptr ? 6 : 50;
  const auto parent = boot("parent", "1");
  expect_works(*parent, "parent", 1);
  for (int i = 0; i < most; ++i) {
    const std::string name = "child" + std::to_string(i);
    const auto child = start(name, {"fork", file("parent.sock")});
    expect_works(*child, name, 1);
    ask({"quit", file(name + ".sock")});
    EXPECT_EQ(child->wait(kPatience), 0) << child->output();
  }
  expect_works(*parent, "parent of " + std::to_string(most));
  ask({"quit", file("parent.sock")});
}

}  // namespace linux_fork_test

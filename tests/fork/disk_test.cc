// Machines with disks that are forked, checkpointed and snapshotted: nobody writes another's image.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/background_process.h"
#include "tests/support/kvm_machine.h"
#include "tests/support/places.h"
#include "tests/support/process.h"
#include "tests/support/temp_folder.h"

namespace disk_test {

namespace fs = std::filesystem;
using std::chrono::seconds;
using test::BackgroundProcess;
using test::ProcessResult;
using ::testing::HasSubstr;

const std::string kUvmm = test::uvmm_path();
constexpr seconds kPatience{120};

class ForkDisk : public testing::Test {
 protected:
  void SetUp() override { UVMM_REQUIRE_KVM(); }

  [[nodiscard]] std::string file(const std::string& name) const { return folder_.file(name); }
  [[nodiscard]] std::string image(const std::string& name, std::uint64_t bytes) const {
    std::ofstream(file(name)).close();
    fs::resize_file(file(name), bytes);
    return file(name);
  }
  static ProcessResult uvmm(std::vector<std::string> words) {
    words.insert(words.begin(), kUvmm);
    return test::run_process(words, {kPatience, {}});
  }
  /// A machine that answers on its socket `name`.
  [[nodiscard]] std::unique_ptr<BackgroundProcess> start(const std::string& name,
                                                         std::vector<std::string> words) const {
    words.insert(words.begin(), kUvmm);
    words.insert(words.end(), {"--console", "none", "--control", file(name)});
    auto machine = std::make_unique<BackgroundProcess>(words, file(name + ".log"));
    const auto begin = std::chrono::steady_clock::now();
    while (uvmm({"status", file(name)}).status != 0) {
      if (std::chrono::steady_clock::now() - begin > kPatience) {
        ADD_FAILURE() << "nobody answers at " << file(name) << ": " << machine->output();
        break;
      }
    }
    return machine;
  }
  [[nodiscard]] std::unique_ptr<BackgroundProcess> start_guest(const std::string& arguments,
                                                               const std::string& disk) const {
    return start("parent",
                 {"run", "-m", "16M", "--builtin", "disk", "--builtin-args", arguments, "--disk", disk});
  }
  void quit(const std::string& name, BackgroundProcess& machine) const {
    EXPECT_EQ(uvmm({"quit", file(name)}).status, 0) << machine.output();
    EXPECT_EQ(machine.wait(kPatience), 0) << machine.output();
  }
  static std::string contents(const std::string& path) {
    std::string bytes(fs::file_size(path), '?');
    std::ifstream(path, std::ios::binary).read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return bytes;
  }

  const test::RunFolder folder_{"fork-disk"};
};

TEST_F(ForkDisk, ADiskThatIsOnlyReadIsTheSameForAllWhateverIsAtItsPath) {
  const std::string path = image("disk", 1 << 20);
  const auto parent = start_guest("mode=loop", path + ",ro");
  fs::remove(path);
  const auto child = start("child", {"fork", file("parent")});
  const auto grandchild = start("grandchild", {"fork", file("child")});
  EXPECT_EQ(uvmm({"checkpoint", file("parent")}).status, 0);
  EXPECT_EQ(uvmm({"reset", file("parent")}).status, 0);
  quit("parent", *parent);
  quit("child", *child);
  quit("grandchild", *grandchild);
}

TEST_F(ForkDisk, AWrittenDiskIsRefusedWithTheWayOutAndTheMachineGoesOn) {
  const std::string path = image("disk", 1 << 20);
  const auto parent = start_guest("mode=loop", path);
  const ProcessResult checkpoint = uvmm({"checkpoint", file("parent")});
  const ProcessResult forked = uvmm({"fork", file("parent"), "--console", "none", "--paused", "-n", "2"});
  if (forked.status == 0) GTEST_SKIP() << "the file system of " << path << " has reflinks";
  for (const ProcessResult& refused : {checkpoint, forked}) {
    EXPECT_EQ(refused.status, 2);
    EXPECT_THAT(refused.err, HasSubstr("disk vda: " + path + " is written by the guest"));
    EXPECT_THAT(refused.err, HasSubstr("say ,fork=copy"));
  }
  quit("parent", *parent);
}

TEST_F(ForkDisk, AResetBringsTheDiskBackWithTheMemory) {
  const std::string path = image("disk", 256 << 20);
  const auto guest = start_guest("mode=write seed=5", path + ",fork=copy");
  EXPECT_EQ(uvmm({"pause", file("parent")}).status, 0);
  ASSERT_EQ(uvmm({"checkpoint", file("parent")}).status, 0) << guest->output();
  const std::string then = contents(path);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(uvmm({"resume", file("parent")}).status, 0);
    const auto written = fs::last_write_time(path);
    while (fs::last_write_time(path) == written && uvmm({"status", file("parent")}).status == 0) {
    }
    EXPECT_EQ(uvmm({"pause", file("parent")}).status, 0);
    EXPECT_FALSE(contents(path) == then) << "the guest writes";
    const ProcessResult reset = uvmm({"reset", file("parent")});
    ASSERT_EQ(reset.status, 0) << reset.err;
    EXPECT_TRUE(contents(path) == then) << "what was written after the checkpoint is there still";
  }
  EXPECT_EQ(uvmm({"resume", file("parent")}).status, 0);
  EXPECT_EQ(guest->wait(kPatience), 0) << "it wrote all of it and read it back: " << guest->output();
  EXPECT_EQ(guest->output().find("has changed"), std::string::npos) << guest->output();
}

TEST_F(ForkDisk, AForkWritesItsOwnDiskAndItsParentsStaysAsItWas) {
  const std::string path = image("disk", 64 << 20);
  const auto parent = start_guest("mode=write seed=5", path + ",fork=copy");
  const auto child = start("child", {"fork", file("parent"), "--paused"});
  const ProcessResult snapshot = uvmm({"snapshot", file("child"), file("snapshot")});
  EXPECT_EQ(snapshot.status, 2);
  EXPECT_THAT(snapshot.err, HasSubstr("disk vda is this fork's own"));
  EXPECT_EQ(uvmm({"pause", file("parent")}).status, 0);
  quit("parent", *parent);
  const std::string before = contents(path);
  EXPECT_NE(before, std::string(before.size(), '\0')) << "it had begun";
  EXPECT_EQ(uvmm({"resume", file("child")}).status, 0);
  EXPECT_EQ(child->wait(kPatience), 0) << "it wrote all of its own and read it back: " << child->output();
  EXPECT_TRUE(contents(path) == before);
  const ProcessResult whole = uvmm({"run", "--builtin", "disk", "--builtin-args", "mode=verify seed=5",
                                    "--console", "none", "--disk", path});
  EXPECT_EQ(whole.status, 1) << "the parent was stopped before its end";
}

TEST_F(ForkDisk, ASnapshotNamesItsDiskAndARestoreSaysWhetherItIsAsItWas) {
  const std::string path = image("disk", 64 << 20);
  const auto parent = start_guest("mode=write seed=9", path);
  EXPECT_EQ(uvmm({"pause", file("parent")}).status, 0);
  // Its vCPUs ask for nothing more; what they have asked for is still written, before a snapshot or behind
  // it.
  for (fs::file_time_type last; last != fs::last_write_time(path);) {
    last = fs::last_write_time(path);
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
  ASSERT_EQ(uvmm({"snapshot", file("parent"), file("snapshot")}).status, 0);
  const std::vector<std::string> restore{"run",      "--restore", file("snapshot"),
                                         "--resume", "--console", "none"};
  const ProcessResult second = uvmm(restore);
  EXPECT_EQ(second.status, 2);
  EXPECT_THAT(second.err, HasSubstr(path + " is in use by another machine"));
  quit("parent", *parent);
  const ProcessResult restored = uvmm(restore);
  EXPECT_EQ(restored.status, 0) << restored.err;
  EXPECT_EQ(restored.err.find("has changed"), std::string::npos) << restored.err;
  const ProcessResult again = uvmm(restore);
  EXPECT_THAT(again.err, HasSubstr("has changed since the machine was saved")) << "the first has written it";
}

}  // namespace disk_test

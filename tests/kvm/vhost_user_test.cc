// A guest with a virtio disk that another process serves: Debian's qemu-storage-daemon, where it is
// installed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/background_process.h"
#include "tests/support/fake_back_end.h"
#include "tests/support/kvm_machine.h"
#include "tests/support/places.h"
#include "tests/support/process.h"
#include "uvm/base/range.h"
#include "uvm/pin_table.h"
#include "vmm/machine/machine.h"

namespace vhost_user_test {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr std::chrono::seconds kLimit{240};
constexpr const char* kDaemon = "/usr/bin/qemu-storage-daemon";

/// What the guest `disk` prints for these bytes.
std::string hash_of(const std::vector<std::uint64_t>& words) {
  std::uint64_t hash = 0xcbf2'9ce4'8422'2325;
  for (const std::uint64_t word : words) hash = (hash ^ word) * 0x100'0000'01b3;
  return "hash=" + std::to_string(hash);
}

/// An image of 1 MiB and 3.5 KiB, in a folder of its own.
class VhostUserDisk : public testing::Test {
 protected:
  void SetUp() override {
    UVMM_REQUIRE_KVM();
    folder_ = fs::temp_directory_path() / ("uvmm-vhost-test-" + std::to_string(::getpid()));
    fs::create_directories(folder_);
    words_.resize(((1 << 20) + 7 * 512) / 8);
    std::uint64_t word = 1;
    for (std::uint64_t& each : words_) each = word = word * 6364136223846793005 + 1442695040888963407;
    std::ofstream(image(), std::ios::binary)
        .write(reinterpret_cast<const char*>(words_.data()), static_cast<std::streamsize>(words_.size() * 8));
  }
  void TearDown() override { fs::remove_all(folder_); }

  [[nodiscard]] std::string image() const { return (folder_ / "image").string(); }
  [[nodiscard]] std::string socket() const { return (folder_ / "socket").string(); }
  [[nodiscard]] std::string log() const { return (folder_ / "log").string(); }

  [[nodiscard]] std::vector<std::string> daemon() const {
    return {kDaemon, "--blockdev", "driver=file,node-name=disk,filename=" + image(), "--export",
            "type=vhost-user-blk,id=export,node-name=disk,writable=on,addr.type=unix,addr.path=" + socket()};
  }
  [[nodiscard]] bool listens() const {
    return test::eventually([this] { return fs::is_socket(socket()); });
  }
  [[nodiscard]] std::vector<std::string> guest(const std::string& arguments,
                                               const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words{test::uvmm_path(),  "run",   "--builtin", "disk", "-m", "64M",
                                   "--vhost-user-blk", socket()};
    if (!arguments.empty()) words.insert(words.end(), {"--builtin-args", arguments});
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  fs::path folder_;
  std::vector<std::uint64_t> words_;
};

#define UVMM_REQUIRE_DAEMON() \
  if (!fs::exists(kDaemon)) GTEST_SKIP() << kDaemon << " is not installed (package qemu-system-common)"

TEST_F(VhostUserDisk, IsReadWrittenAndReadAgain) {
  UVMM_REQUIRE_DAEMON();
  {
    test::BackgroundProcess back_end(daemon(), log());
    ASSERT_TRUE(listens()) << back_end.output();
    const auto read = test::run_process(guest(""));
    EXPECT_EQ(read.status, 0) << read.out << read.err;
    EXPECT_THAT(read.out, HasSubstr(hash_of(words_)));
    // The back end takes the next front end when one has gone.
    const auto written = test::run_process(guest("mode=write seed=7 bytes=1m"));
    EXPECT_EQ(written.status, 0) << written.out << written.err;
    EXPECT_THAT(written.out, HasSubstr("wrong_words=0\n"));
  }
  fs::remove(socket());
  test::BackgroundProcess back_end(daemon(), log());
  ASSERT_TRUE(listens()) << back_end.output();
  const auto verified = test::run_process(guest("mode=verify seed=7 bytes=1m"));
  EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
  const auto other = test::run_process(guest("mode=verify seed=8 bytes=1m"));
  EXPECT_EQ(other.status, 1) << "it does notice other bytes: " << other.out << other.err;
}

TEST_F(VhostUserDisk, WorksOnPrivateMemoryAndWithTheFullInterruptControllers) {
  UVMM_REQUIRE_DAEMON();
  test::BackgroundProcess back_end(daemon(), log());
  ASSERT_TRUE(listens()) << back_end.output();
  const auto anonymous = test::run_process(guest("", {"--memory-backing", "anonymous"}));
  EXPECT_EQ(anonymous.status, 0) << anonymous.out << anonymous.err;
  EXPECT_THAT(anonymous.out, HasSubstr(hash_of(words_)));
  const auto full = test::run_process(guest("", {"--irqchip", "full"}));
  EXPECT_EQ(full.status, 0) << full.out << full.err;
  EXPECT_THAT(full.out, HasSubstr(hash_of(words_)));
}

TEST_F(VhostUserDisk, AKilledBackEndIsADeviceThatNeedsAReset) {
  UVMM_REQUIRE_DAEMON();
  // The shell is the group's leader; the daemon is what it killed.
  test::BackgroundProcess back_end(
      {"/bin/sh", "-c", "\"$0\" \"$@\" & echo pid=$!; wait $!; echo gone; sleep 600", kDaemon, "--blockdev",
       "driver=file,node-name=disk,filename=" + image(), "--export",
       "type=vhost-user-blk,id=export,node-name=disk,addr.type=unix,addr.path=" + socket()},
      log());
  ASSERT_TRUE(listens()) << back_end.output();
  ASSERT_TRUE(back_end.prints("\n", 0, kLimit));
  const std::string said = back_end.output();
  const pid_t daemon = std::stoi(said.substr(said.find("pid=") + 4));
  test::BackgroundProcess machine(guest("mode=loop", {"--show-map"}), (folder_ / "machine").string());
  ASSERT_TRUE(machine.prints("reading\n", 0, kLimit)) << machine.output();
  ASSERT_EQ(::kill(daemon, SIGKILL), 0);
  EXPECT_EQ(machine.wait(kLimit), 5) << machine.output();
  EXPECT_THAT(machine.output(), HasSubstr("disk: the device needs a reset"));
  EXPECT_THAT(machine.output(), HasSubstr("error vhost-user device has failed device=vhost-user-blk0"));
}

TEST_F(VhostUserDisk, WithoutABackEndNothingRuns) {
  const auto result = test::run_process(guest(""));
  EXPECT_EQ(result.status, 2);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err,
              HasSubstr("vhost-user-blk0: vhost-user socket " + socket() + ": no back end answers"));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
}

TEST_F(VhostUserDisk, AGuestThatWritesEverywhereHarmsNobody) {
  test::FakeBackEnd back_end;
  auto config = test::builtin_config("wild");
  config.vhost_user.push_back({vmm::vhost_user::Kind::Block, back_end.path(), {}});
  EXPECT_EQ(test::run_machine(config).status, 0);
  EXPECT_EQ(back_end.served(), 0U);
}

/// Needs no daemon: the back end is here, and so is the machine, whose pins can be looked at.
TEST_F(VhostUserDisk, ThePinsAreTheDevicesAndEndWithIt) {
  test::FakeBackEnd back_end;
  auto config = test::builtin_config("disk", "mode=loop bytes=64k");
  config.vhost_user.push_back({vmm::vhost_user::Kind::Block, back_end.path(), {}});
  auto machine = vmm::Machine::create(config);
  ASSERT_TRUE(machine) << machine.error().text();
  uvm::Space& space = (*machine)->space();
  EXPECT_EQ(space.pin_statistics().pins, 0U);
  uvm::Result<vmm::RunReport> report = vmm::RunReport{};
  std::thread running([&] { report = (*machine)->run(); });
  EXPECT_TRUE(test::eventually([&] { return back_end.served() > 10; }));
  EXPECT_EQ(space.pin_statistics().bytes, config.memory);
  EXPECT_THAT((*machine)->memory_map(), HasSubstr("vhost-user-blk0"));
  back_end.die();
  running.join();
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(report->status, 5) << "the guest saw that the device needs a reset";
  EXPECT_EQ(space.pin_statistics().pins, 0U);
}

}  // namespace vhost_user_test

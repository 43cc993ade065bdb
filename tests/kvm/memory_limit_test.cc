// Guests with less memory than they use, on this host's KVM: every byte right, and the host's memory as
// limited.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>

#include "tests/support/kvm_machine.h"
#include "uvm/base/sanitizers.h"
#include "vmm/log.h"

namespace vmm {
namespace memory_limit_test {

using namespace std::chrono_literals;
using test::builtin_config;
using test::run_machine;
using ::testing::HasSubstr;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

/// Anonymous memory of this process that is resident, bytes: the guest's, out of view or not, and ours.
std::uint64_t resident_anonymous() {
  std::ifstream rollup("/proc/self/smaps_rollup");
  std::uint64_t sum = 0;
  for (std::string line; std::getline(rollup, line);) {
    std::istringstream words(line);
    std::string name;
    std::uint64_t kibibytes = 0;
    words >> name >> kibibytes;
    if (name == "Anonymous:") sum += kibibytes * 1024;
  }
  return sum;
}

/// The most that was resident while it lived, above what was when it began.
class ResidentPeak {
 public:
  ResidentPeak() : before_(resident_anonymous()), thread_([this] { watch(); }) {}
  ~ResidentPeak() {
    stop_ = true;
    thread_.join();
  }
  ResidentPeak(const ResidentPeak&) = delete;
  ResidentPeak& operator=(const ResidentPeak&) = delete;
  [[nodiscard]] std::uint64_t bytes() const { return peak_; }

 private:
  void watch() {
    while (!stop_) {
      const std::uint64_t now = resident_anonymous();
      if (now > before_) peak_ = std::max(peak_.load(), now - before_);
      std::this_thread::sleep_for(1ms);
    }
  }
  const std::uint64_t before_;
  std::atomic<std::uint64_t> peak_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class MemoryLimit : public ::testing::Test {
 protected:
  void SetUp() override {
    UVMM_REQUIRE_KVM();
    if (std::getenv("UVMM_RIG") != nullptr) {
      GTEST_SKIP() << "an emulated machine takes minutes for each walk; Linux within a limit runs there";
    }
    std::string pattern = ::testing::TempDir() + "uvmm-limit-test-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    log_ = directory_ + "/log";
    swap_ = directory_ + "/swap";
    ASSERT_TRUE(log::set_up({log::Level::Warning, log_, log::LineEnding::Lf}));
    std::signal(SIGXFSZ, SIG_IGN);
  }
  void TearDown() override {
    static_cast<void>(log::set_up({}));
    ::unlink(log_.c_str());
    ::unlink(swap_.c_str());
    ::rmdir(directory_.c_str());
  }

  [[nodiscard]] MachineConfig walk(std::uint64_t memory, std::uint64_t limit,
                                   const std::string& arguments) const {
    auto config = builtin_config("memwalk", arguments);
    config.memory = memory;
    config.overcommit.limit = limit;
    config.overcommit.swap = directory_;
    return config;
  }
  [[nodiscard]] std::string log_text() const {
    std::ifstream file(log_);
    std::stringstream all;
    all << file.rdbuf();
    return all.str();
  }
  /// False when it does not come true within minutes.
  [[nodiscard]] static bool wait_for(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + 120s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(10ms);
    }
    return true;
  }
  [[nodiscard]] bool logged(const std::string& text) const {
    return wait_for([&] { return log_text().find(text) != std::string::npos; });
  }

  std::string directory_;
  std::string log_;
  std::string swap_;
};

/// Files may grow to `bytes` and no further, in this whole process.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(std::uint64_t bytes) {
    EXPECT_EQ(::getrlimit(RLIMIT_FSIZE, &old_), 0);
    rlimit tight = old_;
    tight.rlim_cur = bytes;
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  }
  ~FileSizeLimit() { lift(); }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  void lift() { EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &old_), 0); }

 private:
  rlimit old_{};
};

/// A machine that runs on a thread of its own.
class Running {
 public:
  explicit Running(const MachineConfig& config) {
    std::atomic<bool> made{false};
    thread_ = std::thread([this, config, &made] {
      auto machine = Machine::create(config);
      EXPECT_TRUE(machine) << machine.error().text();
      if (machine) machine_ = std::move(*machine);
      made = true;
      made.notify_all();
      if (machine_ == nullptr) return;
      const auto report = machine_->run();
      EXPECT_TRUE(report) << report.error().text();
      if (report) report_ = *report;
    });
    made.wait(false);
  }
  ~Running() {
    if (thread_.joinable()) report();
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  [[nodiscard]] Machine& machine() { return *machine_; }
  RunReport report() {
    thread_.join();
    return report_;
  }

 private:
  std::unique_ptr<Machine> machine_;
  RunReport report_{-1, "did not run"};
  std::thread thread_;
};

TEST_F(MemoryLimit, EveryByteIsRightAndNoMoreMemoryIsUsed) {
  // In order, as programs go through their data; at random, a page of each cluster at a time.
  constexpr struct {
    std::uint64_t memory;
    std::uint64_t limit;
    const char* arguments;
  } kWalks[] = {{256 * kMiB, 64 * kMiB, "passes=1 mode=verify page=2m"},
                {24 * kMiB, 8 * kMiB, "passes=1 mode=random page=4k"}};
  for (const auto& [memory, limit, arguments] : kWalks) {
    const ResidentPeak peak;
    const auto report = run_machine(walk(memory, limit, arguments));
    EXPECT_EQ(report.status, 0) << arguments << ": " << report.summary;
    EXPECT_GE(peak.bytes(), limit / 2) << "was the guest's memory counted at all?";
    if (!uvm::kSanitized) {
      EXPECT_LE(peak.bytes(), limit + 8 * kMiB) << arguments << ": limit, metadata and clusters in flight";
    }
  }
  EXPECT_EQ(log_text(), "");
}

TEST_F(MemoryLimit, TwoGigabytesInHalfOfOneAreRightToTheLastByte) {
  if (std::getenv("UVMM_LONG_TESTS") == nullptr) {
    GTEST_SKIP()
        << "minutes long, and needs 1.5 GiB of disk: ./dev test --long; a smaller guest is walked above";
  }
  const ResidentPeak peak;
  const auto report = run_machine(walk(2048 * kMiB, 512 * kMiB, "passes=1 mode=verify page=2m"));
  EXPECT_EQ(report.status, 0) << report.summary;
  EXPECT_LE(peak.bytes(), (512 + 32) * kMiB);
  EXPECT_EQ(log_text(), "");
}

TEST_F(MemoryLimit, CompressedSwapGivesEveryByteBack) {
  auto config = walk(64 * kMiB, 16 * kMiB, "passes=1 mode=verify page=2m");
  config.overcommit.compress = true;
  const auto report = run_machine(config);
  EXPECT_EQ(report.status, 0) << report.summary;
}

TEST_F(MemoryLimit, ALimitThatIsNoneIsNoHarm) {
  const auto report = run_machine(walk(64 * kMiB, 128 * kMiB, "passes=1"));
  EXPECT_EQ(report.status, 0) << report.summary;
}

TEST_F(MemoryLimit, FourVcpusAgreeOnTheSamePages) {
  auto config = builtin_config("smp_hammer");
  config.vcpus = 4;
  config.overcommit.limit = 8 * kMiB;
  config.overcommit.swap = directory_;
  const auto report = run_machine(config);
  EXPECT_EQ(report.status, 0) << report.summary;
}

TEST_F(MemoryLimit, ASwapThatFailsPausesTheGuestAndOneThatWorksAgainLetsItGoOn) {
  auto config = walk(64 * kMiB, 16 * kMiB, "passes=1 mode=verify");
  config.overcommit.swap = swap_;
  FileSizeLimit full(8 * kMiB);
  Running guest(config);
  ASSERT_TRUE(logged("the guest stands still"));
  EXPECT_THAT(log_text(), HasSubstr("swap file " + swap_ + ": writing "));
  EXPECT_THAT(log_text(), HasSubstr("at offset "));
  EXPECT_THAT(log_text(),
              HasSubstr("it goes on by itself when that works again; Ctrl-A x or SIGTERM ends it"));
  EXPECT_THAT(guest.machine().memory_map(), HasSubstr("swapped")) << "the machine still answers";
  full.lift();
  EXPECT_TRUE(logged("the guest goes on"));
  const auto report = guest.report();
  EXPECT_EQ(report.status, 0) << report.summary;
}

TEST_F(MemoryLimit, APausedGuestEndsWhenItIsToldTo) {
  auto config = walk(64 * kMiB, 16 * kMiB, "passes=1 mode=verify");
  config.overcommit.swap = swap_;
  const FileSizeLimit full(8 * kMiB);
  {
    Running guest(config);
    ASSERT_TRUE(logged("the guest stands still"));
    ::kill(::getpid(), SIGTERM);
    EXPECT_EQ(guest.report().status, 128 + SIGTERM);
  }
  Running another(config);
  ASSERT_TRUE(wait_for([&] { return log_text().rfind("stands still") != log_text().find("stands still"); }));
  another.machine().stop();
  EXPECT_EQ(another.report().status, 0);
}

TEST_F(MemoryLimit, LostPagesAreAnErrorAndNeverZeros) {
  auto config = walk(64 * kMiB, 16 * kMiB, "passes=1000 mode=verify");
  config.overcommit.swap = swap_;
  config.overcommit.on_error = SwapError::Stop;
  Running guest(config);
  const auto size = [&] {
    struct stat status {};
    return ::stat(swap_.c_str(), &status) == 0 ? status.st_size : 0;
  };
  ASSERT_TRUE(wait_for([&] { return size() > static_cast<off_t>(24 * kMiB); }));
  ASSERT_EQ(::truncate(swap_.c_str(), 4096), 0);
  const auto report = guest.report();
  EXPECT_EQ(report.status, static_cast<int>(ExitStatus::Internal)) << "1 would be a wrong byte";
  EXPECT_THAT(report.summary, HasSubstr("cannot be brought in: "));
  EXPECT_THAT(report.summary, HasSubstr("swap file " + swap_));
  EXPECT_THAT(report.summary, HasSubstr("at offset "));
}

TEST_F(MemoryLimit, SwapThatCannotBeIsRefusedBeforeAnythingRuns) {
  auto config = walk(64 * kMiB, 16 * kMiB, "");
  config.overcommit.swap = "/nowhere/swap";
  const auto machine = Machine::create(config);
  ASSERT_FALSE(machine);
  EXPECT_THAT(machine.error().text(), HasSubstr("swap /nowhere/swap: No such file or directory"));
}

}  // namespace memory_limit_test
}  // namespace vmm

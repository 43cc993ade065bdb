#include "vmm/log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace vmm::log {
namespace log_test {

using ::testing::EndsWith;
using ::testing::HasSubstr;

/// A log file of the test's own; afterwards the log goes to stderr again.
class LogTest : public ::testing::Test {
 protected:
  LogTest() {
    std::string pattern = ::testing::TempDir() + "uvmm-log-XXXXXX";
    const int number = ::mkstemp(pattern.data());
    EXPECT_GE(number, 0);
    ::close(number);
    path_ = pattern;
  }
  ~LogTest() override {
    static_cast<void>(set_up({}));
    ::unlink(path_.c_str());
  }

  void open(Level level, LineEnding ending = LineEnding::Auto) {
    const auto ready = set_up({level, path_, ending});
    ASSERT_TRUE(ready) << ready.error().text();
  }
  [[nodiscard]] std::string contents() const {
    std::ifstream file(path_, std::ios::binary);
    std::stringstream all;
    all << file.rdbuf();
    return all.str();
  }
  [[nodiscard]] std::vector<std::string> lines() const {
    std::vector<std::string> all;
    std::istringstream text(contents());
    for (std::string line; std::getline(text, line);) all.push_back(line);
    return all;
  }

  std::string path_;
};

TEST_F(LogTest, OneLineHasTimeLevelEventAndFields) {
  open(Level::Info);
  event(Level::Warning, "vcpu ended",
        {{"vcpu", 3}, {"reason", "triple fault"}, {"rip", hex(0xfff0)}, {"last", true}, {"offset", -5}});
  ASSERT_EQ(lines().size(), 1U);
  const std::regex form(
      R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z warning vcpu ended vcpu=3 reason="triple fault" rip=0xfff0 last=true offset=-5)");
  EXPECT_TRUE(std::regex_match(lines()[0], form)) << lines()[0];
}

TEST_F(LogTest, LevelsBelowTheThresholdAreLeftOut) {
  open(Level::Warning);
  event(Level::Info, "quiet");
  event(Level::Off, "never an event's level");
  event(Level::Warning, "first");
  event(Level::Critical, "second");
  ASSERT_EQ(lines().size(), 2U);
  EXPECT_THAT(lines()[0], EndsWith(" warning first"));
  EXPECT_THAT(lines()[1], EndsWith(" critical second"));
  EXPECT_FALSE(enabled(Level::Info));
  EXPECT_TRUE(enabled(Level::Error));
}

TEST_F(LogTest, OffIsSilent) {
  open(Level::Off);
  event(Level::Critical, "nothing");
  EXPECT_EQ(contents(), "");
}

TEST_F(LogTest, AForeignTextCannotEndOrForgeALine) {
  open(Level::Info);
  event(Level::Info, "guest said", {{"text", "x\n2026-01-01T00:00:00Z error forged\r\x1b[2J\xff a=\"b\\"}});
  ASSERT_EQ(lines().size(), 1U);
  EXPECT_THAT(lines()[0], EndsWith(R"(text="x\n2026-01-01T00:00:00Z error forged\r\x1b[2J\xff a=\"b\\")"));
}

TEST_F(LogTest, ASentenceWithALineBreakStaysOneLine) {
  open(Level::Info);
  event(Level::Info, "two\nlines");
  ASSERT_EQ(lines().size(), 1U);
  EXPECT_THAT(lines()[0], EndsWith("two\\nlines"));
}

TEST_F(LogTest, BracesAreNotAFormat) {
  open(Level::Info);
  event(Level::Info, "set {} %v", {{"text", "{0}%s"}});
  EXPECT_THAT(contents(), HasSubstr("set {} %v text={0}%s\n"));
}

TEST_F(LogTest, ExtremeNumbersAreWhole) {
  open(Level::Info);
  event(Level::Info, "numbers",
        {{"low", std::numeric_limits<std::int64_t>::min()},
         {"high", std::numeric_limits<std::uint64_t>::max()}});
  EXPECT_THAT(contents(), HasSubstr("low=-9223372036854775808 high=18446744073709551615\n"));
}

TEST_F(LogTest, CrLfForARawTerminal) {
  open(Level::Info, LineEnding::CrLf);
  event(Level::Info, "raw");
  EXPECT_THAT(contents(), EndsWith("raw\r\n"));
}

TEST_F(LogTest, AutoEndsALineWithCrLfOnATerminalOnly) {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_GE(master, 0);
  ASSERT_EQ(::grantpt(master), 0);
  ASSERT_EQ(::unlockpt(master), 0);
  std::array<char, 128> name{};
  ASSERT_EQ(::ptsname_r(master, name.data(), name.size()), 0);
  // Held open, so that what was written is still there when the log has let go.
  const int slave = ::open(name.data(), O_RDWR | O_NOCTTY);
  ASSERT_GE(slave, 0);
  ASSERT_TRUE(set_up({Level::Info, name.data(), LineEnding::Auto}));
  event(Level::Info, "terminal");
  std::array<char, 512> seen{};
  const auto count = ::read(master, seen.data(), seen.size());
  ASSERT_GT(count, 0);
  // A cooked terminal turns our LF into CR LF once more.
  EXPECT_THAT(std::string(seen.data(), static_cast<std::size_t>(count)), HasSubstr("terminal\r\r\n"));
  ::close(slave);
  ::close(master);
  open(Level::Info);
  event(Level::Info, "file");
  EXPECT_THAT(contents(), EndsWith("file\n"));
  EXPECT_EQ(contents().find('\r'), std::string::npos);
}

TEST_F(LogTest, AFileIsAppendedToAndPrivate) {
  ::unlink(path_.c_str());
  open(Level::Info);
  event(Level::Info, "first");
  static_cast<void>(set_up({}));
  open(Level::Info);
  event(Level::Info, "second");
  EXPECT_EQ(lines().size(), 2U);
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0027U, 0U);
}

TEST_F(LogTest, AFileThatCannotBeOpenedIsNamedAndChangesNothing) {
  open(Level::Info);
  const auto bad = set_up({Level::Info, "/nowhere/at all/uvmm.log", LineEnding::Auto});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().kind(), uvm::ErrorKind::NotFound);
  EXPECT_THAT(bad.error().text(), HasSubstr("/nowhere/at all/uvmm.log"));
  event(Level::Info, "still here");
  EXPECT_THAT(contents(), HasSubstr("still here"));
}

TEST_F(LogTest, ADeviceThatIsFullLosesLinesAndNothingElse) {
  ASSERT_TRUE(set_up({Level::Info, "/dev/full", LineEnding::Auto}));
  event(Level::Info, "lost");
  open(Level::Info);
  event(Level::Info, "kept");
  EXPECT_EQ(lines().size(), 1U);
}

TEST_F(LogTest, ThreadsNeverMixLines) {
  open(Level::Info);
  constexpr int kThreads = 4;
  constexpr int kEvents = 500;
  std::vector<std::jthread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < kEvents; ++i)
        event(Level::Info, "tick", {{"thread", t}, {"text", "a b"}, {"i", i}});
    });
  }
  threads.clear();
  const std::regex form(R"(\S+Z info tick thread=\d text="a b" i=\d+)");
  ASSERT_EQ(lines().size(), static_cast<std::size_t>(kThreads * kEvents));
  for (const std::string& line : lines()) ASSERT_TRUE(std::regex_match(line, form)) << line;
}

TEST(LogLevels, NamesGoThereAndBack) {
  for (const auto level :
       {Level::Trace, Level::Debug, Level::Info, Level::Warning, Level::Error, Level::Critical, Level::Off}) {
    EXPECT_EQ(parse_level(to_string(level)), level);
  }
  EXPECT_EQ(parse_level("Warn"), Level::Warning);
  EXPECT_EQ(parse_level("ERROR"), Level::Error);
  EXPECT_EQ(parse_level("loud"), std::nullopt);
  EXPECT_EQ(parse_level(""), std::nullopt);
}

}  // namespace log_test
}  // namespace vmm::log

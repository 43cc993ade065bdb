// "Debug a Linux kernel in five minutes" of README.md, its commands as they stand there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/gdb/linux_guest.h"
#include "tests/support/places.h"

namespace readme_test {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

constexpr std::chrono::minutes kPatience{5};

/// What stands behind `prompt` in the section.
std::vector<std::string> commands_after(const std::string& prompt) {
  std::ifstream readme(test::source_dir() + "/README.md");
  std::vector<std::string> found;
  bool inside = false;
  const std::string begin = "    " + prompt + " ";
  for (std::string line; std::getline(readme, line);) {
    if (line.starts_with("#")) inside = line.ends_with("Debug a Linux kernel in five minutes");
    if (inside && line.starts_with(begin)) found.push_back(line.substr(begin.size()));
  }
  return found;
}

std::vector<std::string> in_shell(const std::string& command) {
  return {"/bin/bash", "-c", std::string("cd ") + test::source_dir() + " && " + command};
}

TEST(GdbReadme, ItsCommandsDoWhatItSays) {
  if (const std::string reason = test::no_linux_to_debug(); !reason.empty()) GTEST_SKIP() << reason;
  if (!test::is_free_port(1234)) GTEST_SKIP() << "somebody listens at this host's port 1234";
  const auto shell = commands_after("$");
  const auto gdb = commands_after("(gdb)");
  ASSERT_EQ(shell.size(), 3U) << "symbols, guest, gdb";
  ASSERT_GE(gdb.size(), 8U);

  test::ProcessOptions options;
  options.limit = kPatience;
  const auto symbols = test::run_process(in_shell(shell[0]), options);
  ASSERT_EQ(symbols.status, 0) << symbols.err;
  test::BackgroundProcess guest(in_shell("exec " + shell[1]), testing::TempDir() + "uvmm-gdb-readme-" +
                                                                  std::to_string(::getpid()) + ".log");
  ASSERT_TRUE(guest.prints("uvmm-guest: begin", 0, kPatience)) << guest.output();

  std::string typed;
  for (const std::string& line : gdb) typed += line + "\n";
  options.input = {{"", typed}};
  const auto session = test::run_process(in_shell(shell[2]), options);
  const std::string out = session.out + session.err;
  EXPECT_THAT(out, ContainsRegex("hit Breakpoint 1, .*do_sys_openat2 \\("));
  EXPECT_THAT(out, HasSubstr("= \"swapper/0"));
  EXPECT_THAT(out, HasSubstr("Thread 1.4"));
  EXPECT_THAT(out, ContainsRegex("Old value = [0-9]+\n.*New value = [0-9]+"));
  EXPECT_THAT(out, HasSubstr("detached]"));
  EXPECT_TRUE(guest.prints("\n", guest.output_size(), kPatience)) << "the guest does not go on";
}

}  // namespace readme_test

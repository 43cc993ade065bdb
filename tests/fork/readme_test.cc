// "Fork a running guest" of README.md, its commands as they stand there, one after the other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/background_process.h"
#include "tests/support/kvm_machine.h"
#include "tests/support/places.h"
#include "tests/support/process.h"

namespace readme_test {

using ::testing::HasSubstr;

constexpr std::chrono::seconds kPatience{120};

std::vector<std::string> commands() {
  std::ifstream readme(test::source_dir() + "/README.md");
  std::vector<std::string> found;
  bool inside = false;
  const std::string prompt = "    $ ";
  for (std::string line; std::getline(readme, line);) {
    if (line.starts_with("#")) inside = line == "## Fork a running guest";
    if (inside && line.starts_with(prompt)) found.push_back(line.substr(prompt.size()));
  }
  return found;
}

std::vector<std::string> in_shell(const std::string& command) {
  return {"/bin/bash", "-c", "PATH=" + test::build_dir() + ":$PATH; " + command};
}

/// How many machines answer.
std::ptrdiff_t machines() {
  const std::string listed = test::run_process(in_shell("uvmm list"), {kPatience, {}}).out;
  return std::count(listed.begin(), listed.end(), '\n') - 1;
}

TEST(ForkReadme, ItsCommandsDoWhatItSays) {
  UVMM_REQUIRE_KVM();
  const std::string runtime = testing::TempDir() + "uvmm-fork-readme-" + std::to_string(::getpid());
  std::filesystem::create_directory(runtime);
  ASSERT_EQ(::setenv("XDG_RUNTIME_DIR", runtime.c_str(), 1), 0);
  const auto all = commands();
  ASSERT_EQ(all.size(), 14U);
  std::vector<std::unique_ptr<test::BackgroundProcess>> guests;
  std::vector<std::string> shown;
  for (const std::string& command : all) {
    if (!command.ends_with("&")) {
      const auto done = test::run_process(in_shell(command), {kPatience, {}});
      EXPECT_EQ(done.status, 0) << command << ": " << done.err;
      shown.push_back(done.out);
      continue;
    }
    const auto before = machines();
    guests.push_back(
        std::make_unique<test::BackgroundProcess>(in_shell("exec " + command.substr(0, command.size() - 1)),
                                                  runtime + "/log" + std::to_string(guests.size())));
    const auto begin = std::chrono::steady_clock::now();
    while (machines() == before && std::chrono::steady_clock::now() - begin < kPatience) {
    }
    ASSERT_EQ(machines(), before + 1) << command << ": " << guests.back()->output();
  }
  ASSERT_FALSE(shown.empty());
  EXPECT_THAT(shown.front(), HasSubstr("\nfirst "));
  EXPECT_THAT(shown.front(), HasSubstr("\n  second "));
  EXPECT_THAT(shown.front(), HasSubstr("\n    third "));
  EXPECT_TRUE(std::ranges::any_of(shown, [](const std::string& text) {
    return text.find("/tmp/uvmm-readme.later\n") < text.find("/tmp/uvmm-readme.snapshot\n");
  }));
  EXPECT_EQ(guests.front()->wait(kPatience), 0) << guests.front()->output();
  EXPECT_EQ(machines(), 3);
  guests.clear();
  for (const char* directory : {"/tmp/uvmm-readme.snapshot", "/tmp/uvmm-readme.later"}) {
    std::filesystem::remove_all(directory);
  }
  std::filesystem::remove_all(runtime);
}

}  // namespace readme_test

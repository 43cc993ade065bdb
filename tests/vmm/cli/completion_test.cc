// What the command line tells shells and people about itself: completion scripts, the manual page, the
// service.
#include "vmm/cli/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/places.h"
#include "tests/support/process.h"
#include "tests/support/temp_folder.h"
#include "vmm/cli/options.h"
#include "vmm/cli/run_flags.h"

namespace vmm::cli {
namespace completion_test {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Words = std::vector<std::string>;

std::string text_of(const Words& words) {
  const auto invocation = parse_command_line(words);
  return invocation ? invocation->text : "error: " + invocation.error().text();
}

bool is_installed(const std::string& program) {
  return test::run_process({"/bin/sh", "-c", "command -v " + program}).status == 0;
}

/// What bash offers for the last of `words`.
Words offered(const Words& words) {
  std::string script =
      "PATH=" + test::build_dir() + ":$PATH; source <(uvmm completion bash)\nCOMP_WORDS=(uvmm";
  for (const std::string& word : words) script += " '" + word + "'";
  script += "); COMP_CWORD=" + std::to_string(words.size()) + "; _uvmm; printf '%s\\n' \"${COMPREPLY[@]}\"";
  const auto done = test::run_process({"/bin/bash", "-c", script});
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(done.err, "");
  Words all;
  std::istringstream lines(done.out);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty()) all.push_back(line);
  }
  return all;
}

TEST(CommandWords, AreTakenOutOfHelp) {
  const VerbWords fork = take_apart("fork", text_of({"fork", "--help"}));
  EXPECT_EQ(fork.summary, "Runs copies of a running machine in this terminal; the machine itself goes on.");
  EXPECT_THAT(fork.arguments, ElementsAre("MACHINE"));
  const auto console = std::ranges::find(fork.options, Words{"--console"}, &OptionWords::names);
  ASSERT_NE(console, fork.options.end());
  EXPECT_EQ(console->value, "WHERE");
  EXPECT_THAT(console->choices, ElementsAre("stdio", "none"));
}

TEST(CommandWords, OfRunAreItsTable) {
  const VerbWords run = take_apart("run", text_of({"run", "--help"}));
  ASSERT_EQ(run.options.size(), run_flags().size() + 1) << "and --help";
  for (std::size_t i = 0; i < run_flags().size(); ++i) {
    const RunFlag& flag = run_flags()[i];
    const OptionWords& words = run.options[i + 1];
    EXPECT_THAT(words.names, Contains(flag.shown));
    EXPECT_EQ(words.value, flag.value);
    EXPECT_EQ(words.group, flag.group);
    EXPECT_THAT(words.help, Not(IsEmpty()));
  }
}

TEST(CommandWords, OfAChoiceAreItsWords) {
  EXPECT_THAT(choices_in("on, log or off: end the machine"), ElementsAre("on", "log", "off"));
  EXPECT_THAT(choices_in("the first serial port: stdio or none (default: stdio)"),
              ElementsAre("stdio", "none"));
  EXPECT_THAT(choices_in("let gdb or lldb in at tcp:PORT"), IsEmpty());
  EXPECT_THAT(choices_in("initial RAM disk"), IsEmpty());
}

TEST(Completion, OfBashOffersVerbsOptionsAndValues) {
  EXPECT_THAT(offered({"sn"}), ElementsAre("snapshot"));
  EXPECT_THAT(offered({""}), Contains("completion"));
  EXPECT_THAT(offered({"run", "--seccomp", ""}), ElementsAre("on", "log", "off"));
  EXPECT_THAT(offered({"run", "--kernel-f"}), ElementsAre("--kernel-format"));
  EXPECT_THAT(offered({"run", "--memory", ""}), IsEmpty()) << "nobody knows how much";
  EXPECT_THAT(offered({"fork", "--con"}), ElementsAre("--console", "--control"));
  for (const RunFlag& flag : run_flags()) EXPECT_THAT(offered({"run", flag.shown}), Contains(flag.shown));
}

TEST(Completion, OfBashOffersFiles) {
  const test::TempFolder folder("completion");
  std::ofstream(folder.file("bzImage")) << "";
  EXPECT_THAT(offered({"run", "-k", folder.file("bz")}), ElementsAre(folder.file("bzImage")));
}

TEST(Completion, OfOtherShellsIsGoodLanguage) {
  const test::TempFolder folder("completion");
  for (const std::string shell : {"zsh", "fish"}) {
    const std::string script = text_of({"completion", shell});
    for (const RunFlag& flag : run_flags()) {
      const std::string name(flag.shown);
      EXPECT_THAT(script, HasSubstr(shell == "zsh" ? name : name.substr(name.starts_with("--") ? 2 : 1)));
    }
    if (!is_installed(shell)) {
      std::printf("%s is not installed: its script is not tried\n", shell.c_str());
      continue;
    }
    std::ofstream(folder.file(shell)) << script;
    const auto done = test::run_process({"/usr/bin/env", shell, "-n", folder.file(shell)});
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_EQ(done.err, "");
  }
  EXPECT_THAT(text_of({"completion", "tcsh"}), HasSubstr("say bash, zsh or fish"));
}

TEST(ManPage, NamesEveryOptionAndFormatsWithoutAWord) {
  const std::string page = text_of({"man"});
  EXPECT_THAT(page, HasSubstr(".TH UVMM 1"));
  for (const RunFlag& flag : run_flags()) {
    std::string name(flag.shown);
    for (std::size_t at = 0; (at = name.find('-', at)) != std::string::npos; at += 2) name.insert(at, "\\");
    EXPECT_THAT(page, HasSubstr("\\fB" + name + "\\fR"));
  }
  if (!is_installed("man")) GTEST_SKIP() << "man is not installed (package man-db)";
  const test::TempFolder folder("man");
  std::ofstream(folder.file("uvmm.1")) << page;
  const auto done = test::run_process(
      {"/usr/bin/env", "MANWIDTH=100", "man", "--warnings", "-E", "UTF-8", "-l", folder.file("uvmm.1")});
  EXPECT_EQ(done.status, 0);
  EXPECT_EQ(done.err, "");
  EXPECT_THAT(done.out, HasSubstr("--kernel"));
}

TEST(Service, IsAUnitThatSystemdTakes) {
  if (!is_installed("systemd-analyze")) GTEST_SKIP() << "systemd-analyze is not installed (package systemd)";
  const test::TempFolder folder("unit");
  std::ifstream unit(test::source_dir() + "/configs/uvmm@.service");
  std::string text(std::istreambuf_iterator<char>(unit), {});
  const std::string installed = "/usr/bin/uvmm";
  ASSERT_NE(text.find(installed), std::string::npos);
  text.replace(text.find(installed), installed.size(), test::uvmm_path());
  std::ofstream(folder.file("uvmm@web.service")) << text;
  const auto done = test::run_process(
      {"/usr/bin/env", "systemd-analyze", "verify", "--man=no", folder.file("uvmm@web.service")});
  EXPECT_EQ(done.status, 0);
  EXPECT_EQ(done.err, "");
}

}  // namespace completion_test
}  // namespace vmm::cli

// The options of confinement, from words and from a file, and back.
#include "vmm/config/confinement_words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "vmm/cli/options.h"
#include "vmm/config/config_json.h"

namespace vmm::config {
namespace confinement_words_test {

using cli::Invocation;
using cli::parse_command_line;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Words = std::vector<std::string>;

uvm::Result<Invocation> parse(const Words& more) {
  Words words = {"run", "--builtin", "hello", "-m", "64M"};
  words.insert(words.end(), more.begin(), more.end());
  return parse_command_line(words);
}

std::string refusal(const Words& words) {
  const auto invocation = parse(words);
  return invocation ? std::string("no error") : invocation.error().text();
}

TEST(ConfinementWords, GoThroughAConfiguration) {
  const auto invocation =
      parse({"--seccomp", "log",     "--landlock",   "on",    "--allow-path", "/a",      "--allow-path",
             "/b",        "--uid",   "1000",         "--gid", "1001",         "--netns", "/run/netns/x",
             "--cgroup",  "vms/one", "--memory-max", "512M",  "--pids-max",   "64"});
  ASSERT_TRUE(invocation) << invocation.error().text();
  const confine::Options& options = invocation->config.confinement;
  EXPECT_EQ(options.seccomp, confine::Seccomp::Log);
  EXPECT_THAT(options.allowed_paths, ElementsAre("/a", "/b"));
  EXPECT_EQ(options.uid, 1000U);
  EXPECT_EQ(options.gid, 1001U);
  EXPECT_EQ(options.netns, "/run/netns/x");
  EXPECT_EQ(options.cgroup, "vms/one");
  EXPECT_EQ(options.memory_max, std::uint64_t{512} << 20);
  EXPECT_EQ(options.pids_max, 64U);
  const auto again = merge_json({}, to_json(invocation->config));
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(again->confinement, options);
}

TEST(ConfinementWords, AreNotPrintedWhereNothingIsSaid) {
  const auto invocation = parse({});
  ASSERT_TRUE(invocation);
  EXPECT_EQ(invocation->config.confinement, confine::Options{});
  EXPECT_EQ(to_json(invocation->config).find("confinement"), std::string::npos);
}

TEST(ConfinementWords, AreRefusedInOneLine) {
  EXPECT_THAT(refusal({"--seccomp", "of"}), HasSubstr("is not one of on, log, off; nearest: off"));
  EXPECT_THAT(refusal({"--landlock", "log"}), HasSubstr("on, off"));
  EXPECT_THAT(refusal({"--uid", "root", "--gid", "0"}), HasSubstr("'root' is not a user's number"));
  EXPECT_THAT(refusal({"--uid", "4294967295", "--gid", "0"}), HasSubstr("not a user's number"));
  EXPECT_THAT(refusal({"--gid", "-1", "--uid", "0"}), HasSubstr("not a group's number"));
  EXPECT_THAT(refusal({"--uid", "1000"}), HasSubstr("--uid and --gid go together"));
  EXPECT_THAT(refusal({"--gid", "1000"}), HasSubstr("--uid and --gid go together"));
  EXPECT_THAT(refusal({"--netns", ""}), HasSubstr("network namespace is empty"));
  EXPECT_THAT(refusal({"--cgroup", ""}), HasSubstr("cgroup is empty"));
  EXPECT_THAT(refusal({"--allow-path", ""}), HasSubstr("what may be opened is empty"));
  EXPECT_THAT(refusal({"--memory-max", "1G"}), HasSubstr("add --cgroup"));
  EXPECT_THAT(refusal({"--pids-max", "64"}), HasSubstr("add --cgroup"));
  EXPECT_THAT(refusal({"--cgroup", "x", "--memory-max", "64M"}), HasSubstr("would be killed"));
  EXPECT_THAT(refusal({"--cgroup", "x", "--pids-max", "3"}), HasSubstr("raise --pids-max to 9"));
  EXPECT_THAT(refusal({"--allow-path", "/a", "--landlock", "off"}), HasSubstr("leave one of them out"));
  for (const char* text :
       {R"({"confinement": {"seccomp": "no"}})", R"({"confinement": {"uid": -1}})",
        R"({"confinement": {"uid": 4294967296}})", R"({"confinement": {"allowed_paths": "/a"}})",
        R"({"confinement": {"chroot": "/a"}})", R"({"confinement": [1]})"}) {
    const auto merged = merge_json({}, text);
    ASSERT_FALSE(merged) << text;
    EXPECT_THAT(merged.error().text(), HasSubstr("confinement")) << text;
  }
}

TEST(ConfinementWords, OfACopyAreTheSame) {
  const auto fork = parse_command_line(Words{"fork", "vm", "--seccomp", "log", "--landlock", "off"});
  ASSERT_TRUE(fork) << fork.error().text();
  EXPECT_EQ(fork->remote.config.confinement.seccomp, confine::Seccomp::Log);
  EXPECT_EQ(fork->remote.config.confinement.landlock, confine::Landlock::Off);
  EXPECT_FALSE(parse_command_line(Words{"fork", "vm", "--seccomp", "maybe"}));
}

}  // namespace confinement_words_test
}  // namespace vmm::config

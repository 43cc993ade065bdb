// `uvmm fork`, `snapshot`, `run --restore` and the other verbs of the control socket, as a user has them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/background_process.h"
#include "tests/support/eventually.h"
#include "tests/support/kvm_machine.h"
#include "tests/support/places.h"
#include "tests/support/process.h"
#include "tests/support/temp_folder.h"

namespace command_test {

using std::chrono::seconds;
using test::ProcessResult;
using ::testing::HasSubstr;

const std::string kUvmm = test::uvmm_path();
constexpr seconds kPatience{120};

class ForkCommand : public testing::Test {
 protected:
  void SetUp() override { UVMM_REQUIRE_KVM(); }

  [[nodiscard]] std::string file(const std::string& name) const { return folder_.file(name); }

  static ProcessResult uvmm(std::vector<std::string> words) {
    words.insert(words.begin(), kUvmm);
    return test::run_process(words, {kPatience, {}});
  }

  /// A machine that works on `socket` for some seconds, checks itself and ends with 0.
  std::unique_ptr<test::BackgroundProcess> start(const std::string& socket,
                                                 const std::vector<std::string>& more = {}) {
    std::vector<std::string> words{kUvmm, "run", "-m", "16M", "--console", "none", "--control", socket};
    words.insert(words.end(), more.begin(), more.end());
    auto machine = std::make_unique<test::BackgroundProcess>(words, file("log"));
    wait_for(socket);
    return machine;
  }
  std::unique_ptr<test::BackgroundProcess> start_memwalk(const std::string& socket) {
    return start(socket, {"--builtin", "memwalk", "--builtin-args", "passes=400"});
  }

  /// The processes that have these words on their command line.
  static std::vector<std::string> processes_with(const std::vector<std::string>& words) {
    std::vector<std::string> numbers;
    for (const auto& process : std::filesystem::directory_iterator("/proc")) {
      std::ifstream file(process.path() / "cmdline");
      const std::string line{std::istreambuf_iterator<char>(file), {}};
      const auto is_there = [&](const std::string& word) { return line.find(word) != std::string::npos; };
      if (std::ranges::all_of(words, is_there)) numbers.push_back(process.path().filename());
    }
    return numbers;
  }

  /// Until somebody answers there.
  static void wait_for(const std::string& socket) {
    for (const auto begin = std::chrono::steady_clock::now();
         std::chrono::steady_clock::now() - begin < kPatience;) {
      if (uvmm({"status", socket}).status == 0) return;
    }
    FAIL() << "nobody answers at " << socket;
  }

  const test::RunFolder folder_{"fork"};
};

TEST_F(ForkCommand, ParentAndChildrenEndWell) {
  const auto parent = start_memwalk(file("parent"));
  const ProcessResult one = uvmm({"fork", file("parent"), "--console", "none"});
  EXPECT_EQ(one.status, 0) << one.err;
  EXPECT_EQ(parent->wait(kPatience), 0) << parent->output();
}

/// Files in memory with pages of 2 MiB that a process has open.
std::size_t huge_files_of(const std::string& process) {
  std::error_code error;
  std::size_t files = 0;
  for (const auto& fd : std::filesystem::directory_iterator("/proc/" + process + "/fd", error)) {
    if (std::filesystem::read_symlink(fd, error).string().starts_with("/#")) ++files;
  }
  return files;
}

TEST_F(ForkCommand, ManyPagesAreCopiedToLargeOnesInAConfinedProcess) {
  const auto parent = start(file("parent"), {"--builtin", "memwalk", "--builtin-args", "passes=4000",
                                             "--memory-backing", "shared", "--seccomp", "on"});
  const auto pid = processes_with({file("parent"), "memwalk"});
  ASSERT_EQ(pid.size(), 1U);
  if (huge_files_of(pid.front()) == 0) GTEST_SKIP() << "no RAM with huge pages here: " << parent->output();
  const std::vector<std::string> fork{kUvmm, "fork", file("parent"), "--console", "none", "--control"};
  const auto copy_at = [&](const std::string& name) {
    std::vector<std::string> words = fork;
    words.push_back(file(name));
    auto copy = std::make_unique<test::BackgroundProcess>(words, file(name + ".log"));
    wait_for(file(name));
    return copy;
  };
  const auto first = copy_at("first");  // from here on what the parent writes is private
  std::unique_ptr<test::BackgroundProcess> second;
  ASSERT_TRUE(test::eventually([&] {
    second = copy_at("second");
    return huge_files_of(processes_with({file("second")}).front()) == 2;
  })) << "RAM, and the pages that differ";
  EXPECT_EQ(uvmm({"quit", file("parent")}).status, 0);
}

TEST_F(ForkCommand, ManyPagesAreCopiedWithoutLandlockToo) {
  // Anonymous memory: nothing before has mounted what large pages lie on.
  const auto parent =
      start(file("parent"), {"--builtin", "memwalk", "--builtin-args", "passes=4000", "--memory-backing",
                             "anonymous", "--seccomp", "on", "--landlock", "off"});
  const std::vector<std::string> fork{kUvmm,  "fork",      file("parent"), "--console",
                                      "none", "--control", file("copy")};
  const test::BackgroundProcess copy(fork, file("copy.log"));
  wait_for(file("copy"));
  EXPECT_EQ(uvmm({"quit", file("parent")}).status, 0) << parent->output();
  EXPECT_EQ(uvmm({"quit", file("copy")}).status, 0);
}

TEST_F(ForkCommand, ACopyThatIsReadyWaitsForALine) {
  const auto parent = start_memwalk(file("parent"));
  const auto ready = [&](const std::string& input) {
    return test::run_process({"/bin/sh", "-c",
                              "{ sleep 0.3; printf '" + input + "'; } | " + kUvmm + " fork " +
                                  file("parent") + " --ready --console none --name copy"},
                             {kPatience, {}});
  };
  const ProcessResult unwanted = ready("");
  EXPECT_EQ(unwanted.status, 0) << unwanted.err;
  EXPECT_EQ(unwanted.err, "");
  const ProcessResult copy = ready("go\n");
  EXPECT_EQ(copy.status, 0) << copy.err;
  EXPECT_EQ(parent->wait(kPatience), 0) << parent->output();
}

TEST_F(ForkCommand, CopiesThatAreKeptReadyServeTheApiAndGoWithTheMachine) {
  const auto parent =
      start(file("parent"), {"--builtin", "spin", "--api-socket", file("api"), "--ready-copies", "2"});
  std::vector<std::string> ready;
  ASSERT_TRUE(test::eventually([&] {
    ready = processes_with({file("parent"), std::string("--ready\0", 8)});
    return ready.size() >= 2;
  }));
  const ProcessResult forked = uvmm({"ctl", file("api"), "fork", "4"});
  EXPECT_EQ(forked.status, 0) << forked.err;
  for (const std::string& number : ready) {
    EXPECT_THAT(forked.out, HasSubstr(" " + number + " ")) << "the ones that were ready are the copies";
  }
  const ProcessResult all = uvmm({"list"});
  const std::string folder = file("uvmm/uvmm-");
  std::size_t copies = 0;
  for (std::size_t at = 0; (at = all.out.find(folder, at)) != std::string::npos; ++copies) {
    const std::string socket = all.out.substr(at, all.out.find_first_of(" \n", at) - at);
    EXPECT_EQ(uvmm({"quit", socket}).status, 0) << socket;
    at += socket.size();
  }
  EXPECT_EQ(copies, 4U) << all.out;
  EXPECT_EQ(uvmm({"quit", file("parent")}).status, 0);
  EXPECT_EQ(parent->wait(kPatience), 0) << parent->output();
  EXPECT_TRUE(test::eventually([&] { return processes_with({file("parent")}).empty(); }))
      << "those that were ready have gone";
}

TEST_F(ForkCommand, SeveralAtOnceFromOneMoment) {
  const auto parent = start_memwalk(file("parent"));
  const ProcessResult two = uvmm({"fork", file("parent"), "-n", "2"});
  EXPECT_EQ(two.status, 0) << two.err;
  EXPECT_EQ(parent->wait(kPatience), 0) << parent->output();
}

TEST_F(ForkCommand, ChildrenOfChildrenWhoseParentsEndFirst) {
  auto parent = start_memwalk(file("parent"));
  auto child = std::make_unique<test::BackgroundProcess>(
      std::vector<std::string>{kUvmm, "fork", file("parent"), "--console", "none", "--paused", "--control",
                               file("child")},
      file("child.log"));
  wait_for(file("child"));
  EXPECT_EQ(uvmm({"quit", file("parent")}).status, 0);
  EXPECT_EQ(parent->wait(kPatience), 0);
  auto grandchild = std::make_unique<test::BackgroundProcess>(
      std::vector<std::string>{kUvmm, "fork", file("child"), "--console", "none", "--control",
                               file("grandchild")},
      file("grandchild.log"));
  wait_for(file("grandchild"));
  EXPECT_EQ(uvmm({"quit", file("child")}).status, 0);
  EXPECT_EQ(child->wait(kPatience), 0) << child->output();
  EXPECT_EQ(grandchild->wait(kPatience), 0) << grandchild->output();
}

TEST_F(ForkCommand, FourVcpusGoOnTogether) {
  const auto parent =
      start(file("parent"), {"--builtin", "smp_hammer", "--builtin-args", "rounds=500000", "-c", "4"});
  const ProcessResult child = uvmm({"fork", file("parent"), "--console", "none"});
  EXPECT_EQ(child.status, 0) << child.err;
  EXPECT_EQ(parent->wait(kPatience), 0) << parent->output();
}

TEST_F(ForkCommand, CheckpointAndResetThroughTheSocket) {
  const auto machine = start_memwalk(file("m"));
  EXPECT_THAT(uvmm({"reset", file("m")}).err, HasSubstr("there is no checkpoint"));
  ASSERT_EQ(uvmm({"checkpoint", file("m")}).status, 0);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(uvmm({"reset", file("m")}).status, 0);
  EXPECT_THAT(uvmm({"status", file("m")}).out, HasSubstr("\"resets\":5"));
  EXPECT_EQ(machine->wait(kPatience), 0) << machine->output();
}

TEST_F(ForkCommand, ASnapshotIsRestoredTwiceAndReplacedWhole) {
  const auto machine = start_memwalk(file("m"));
  const ProcessResult saved = uvmm({"snapshot", file("m"), file("dir")});
  ASSERT_EQ(saved.status, 0) << saved.err;
  EXPECT_THAT(saved.out, HasSubstr("of memory"));
  for (int i = 0; i < 2; ++i) {
    const ProcessResult restored = uvmm({"run", "--restore", file("dir"), "--resume", "--console", "none"});
    EXPECT_EQ(restored.status, 0) << restored.err;
  }
  // One that was restored is a machine like others.
  const auto again = start(file("again"), {"--restore", file("dir")});
  ASSERT_EQ(uvmm({"snapshot", file("again"), file("dir")}).status, 0);
  EXPECT_EQ(uvmm({"resume", file("again")}).status, 0);
  EXPECT_EQ(again->wait(kPatience), 0) << again->output();
  const ProcessResult last = uvmm({"run", "--restore", file("dir"), "--resume", "--console", "none"});
  EXPECT_EQ(last.status, 0) << last.err;
  EXPECT_EQ(machine->wait(kPatience), 0) << machine->output();
  const std::filesystem::directory_iterator files(file("dir"));
  EXPECT_EQ(std::distance(begin(files), end(files)), 2);
}

TEST_F(ForkCommand, ACompressedSnapshotIsRestoredAndBuiltUpon) {
  const auto machine = start_memwalk(file("m"));
  const ProcessResult saved = uvmm({"snapshot", file("m"), file("one"), "--compress"});
  ASSERT_EQ(saved.status, 0) << saved.err;
  ASSERT_EQ(uvmm({"snapshot", file("m"), file("two"), "--base", file("one"), "--compress"}).status, 0);
  EXPECT_EQ(uvmm({"quit", file("m")}).status, 0);
  for (const char* directory : {"one", "two"}) {
    const ProcessResult restored =
        uvmm({"run", "--restore", file(directory), "--resume", "--console", "none"});
    EXPECT_EQ(restored.status, 0) << directory << ": " << restored.err;
  }
  const std::string info = uvmm({"snapshot", "--info", file("two")}).out;
  EXPECT_THAT(info, ::testing::ContainsRegex("two\n[^\n]*one\n"));
  for (const char* memory : {"one/memory-1", "two/memory-1"}) {
    std::string line;
    std::getline(std::ifstream(file(memory)), line);
    EXPECT_EQ(line, "uvmm memory, in frames of zstd") << memory;
  }
  const ProcessResult both = uvmm({"snapshot", "--collapse", file("two"), "--compress"});
  EXPECT_EQ(both.status, 2);
}

/// The limit is the copy's own: its memory is copied, and what is more than the limit goes to its swap.
TEST_F(ForkCommand, ACopyHasTheLimitThatItIsGiven) {
  const auto machine = start_memwalk(file("m"));
  const ProcessResult alone = uvmm({"fork", file("m"), "--console", "none", "--swap", file("")});
  EXPECT_EQ(alone.status, 2);
  EXPECT_THAT(alone.err, HasSubstr("without --memory-limit"));
  test::BackgroundProcess copy(
      {"/bin/bash", "-c",
       kUvmm + " fork " + file("m") + " --console none --control " + file("copy") +
           " --memory-limit 8M --swap " + file("") + " & p=$!; until " + kUvmm + " status " + file("copy") +
           " >/dev/null; do sleep 0.05; done 2>/dev/null\n" + "sleep 1; kill -USR1 $p; sleep 0.5; " + kUvmm +
           " quit " + file("copy") + "; wait $p"},
      file("copy.log"));
  EXPECT_EQ(copy.wait(kPatience), 0) << copy.output();
  EXPECT_THAT(copy.output(), ::testing::ContainsRegex("limit 8M .*swapped [1-9]"));
}

TEST_F(ForkCommand, ADamagedSnapshotIsRefusedInOneLine) {
  const auto machine = start_memwalk(file("m"));
  ASSERT_EQ(uvmm({"snapshot", file("m"), file("dir")}).status, 0);
  EXPECT_EQ(uvmm({"quit", file("m")}).status, 0);
  const auto refusal = [&] {
    const ProcessResult run = uvmm({"run", "--restore", file("dir"), "--resume", "--console", "none"});
    EXPECT_EQ(run.status, 2) << run.err;
    EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << run.err;
    return run.err;
  };
  const std::string memory = file("dir/memory-1");
  {
    std::fstream bytes(memory, std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekp(std::streamoff{10} << 20);
    bytes.write("damage", 6);
  }
  EXPECT_THAT(refusal(), HasSubstr("memory-1 is damaged"));
  std::filesystem::resize_file(memory, std::uintmax_t{8} << 20);
  EXPECT_THAT(refusal(), HasSubstr("bytes of"));
  std::filesystem::remove(memory);
  EXPECT_THAT(refusal(), HasSubstr("memory-1"));
  std::filesystem::resize_file(file("dir/state"), 100);
  EXPECT_THAT(refusal(), HasSubstr("machine state"));
  std::filesystem::remove(file("dir/state"));
  EXPECT_THAT(refusal(), HasSubstr("state"));
}

TEST_F(ForkCommand, ASnapshotThatIsKilledHarmsNeitherTheGuestNorTheOldOne) {
  const auto machine = start_memwalk(file("m"));
  ASSERT_EQ(uvmm({"snapshot", file("m"), file("dir")}).status, 0);
  for (const char* moment : {"0.005", "0.01", "0.02", "0.04", "0.08"}) {
    static_cast<void>(test::run_process(
        {"/usr/bin/timeout", "-s", "KILL", moment, kUvmm, "snapshot", file("m"), file("dir")},
        {kPatience, {}}));
  }
  const ProcessResult restored = uvmm({"run", "--restore", file("dir"), "--resume", "--console", "none"});
  EXPECT_EQ(restored.status, 0) << restored.err;
  EXPECT_EQ(machine->wait(kPatience), 0) << machine->output();
}

TEST_F(ForkCommand, SnapshotsOnSnapshotsAreRestoredAndShown) {
  const auto machine = start_memwalk(file("m"));
  ASSERT_EQ(uvmm({"snapshot", file("m"), file("one")}).status, 0);
  ASSERT_EQ(uvmm({"snapshot", file("m"), file("two"), "--base", file("one")}).status, 0);
  ASSERT_EQ(uvmm({"snapshot", file("m"), file("three"), "--base", file("two")}).status, 0);
  const std::string info = uvmm({"snapshot", "--info", file("three")}).out;
  EXPECT_THAT(info, ::testing::ContainsRegex("three\n[^\n]*two\n[^\n]*one\n"));
  // One that was restored from a base builds on it, and what builds on that is whole.
  const auto again = start(file("again"), {"--restore", file("three")});
  ASSERT_EQ(uvmm({"snapshot", file("again"), file("four"), "--base", file("three")}).status, 0);
  EXPECT_EQ(uvmm({"quit", file("again")}).status, 0);
  EXPECT_EQ(uvmm({"quit", file("m")}).status, 0);
  for (const char* directory : {"one", "four"}) {
    const ProcessResult restored =
        uvmm({"run", "--restore", file(directory), "--resume", "--console", "none"});
    EXPECT_EQ(restored.status, 0) << directory << ": " << restored.err;
  }
  std::filesystem::remove_all(file("two"));
  const ProcessResult refused = uvmm({"run", "--restore", file("four"), "--resume", "--console", "none"});
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("builds on " + file("two") + ", and there is no snapshot"));
  EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1) << refused.err;
}

TEST_F(ForkCommand, ACollapsedSnapshotNeedsNoBaseAndWhoRunsFromItGoesOn) {
  const auto machine = start_memwalk(file("m"));
  ASSERT_EQ(uvmm({"snapshot", file("m"), file("one")}).status, 0);
  ASSERT_EQ(uvmm({"snapshot", file("m"), file("two"), "--base", file("one")}).status, 0);
  ASSERT_EQ(uvmm({"snapshot", file("m"), file("three"), "--base", file("two")}).status, 0);
  EXPECT_EQ(uvmm({"quit", file("m")}).status, 0);
  // One runs from it all the while, one waits until its files have gone from the directory.
  ASSERT_TRUE(std::filesystem::create_directory(file("uvmm")));
  std::filesystem::permissions(file("uvmm"), std::filesystem::perms::owner_all);
  const auto runs = start(file("uvmm/runs.sock"), {"--restore", file("three"), "--resume", "--name", "runs"});
  const auto waits = start(file("uvmm/waits.sock"), {"--restore", file("three"), "--name", "waits"});
  EXPECT_THAT(uvmm({"snapshot", "--info", file("three")}).out,
              ::testing::ContainsRegex("one  runs, waits\n"));
  const ProcessResult collapsed = uvmm({"snapshot", "--collapse", file("three")});
  EXPECT_EQ(collapsed.status, 0) << collapsed.err;
  EXPECT_THAT(collapsed.out, HasSubstr(file("three") + " stands alone: "));
  EXPECT_THAT(uvmm({"snapshot", "--collapse", file("three")}).out, HasSubstr("builds on no other"));
  std::filesystem::remove_all(file("one"));
  std::filesystem::remove_all(file("two"));
  const std::string info = uvmm({"snapshot", "--info", file("three")}).out;
  EXPECT_EQ(std::count(info.begin(), info.end(), '\n'), 3) << info;
  EXPECT_EQ(uvmm({"resume", file("uvmm/waits.sock")}).status, 0);
  const ProcessResult restored = uvmm({"run", "--restore", file("three"), "--resume", "--console", "none"});
  EXPECT_EQ(restored.status, 0) << restored.err;
  EXPECT_EQ(runs->wait(kPatience), 0) << runs->output();
  EXPECT_EQ(waits->wait(kPatience), 0) << waits->output();
}

TEST_F(ForkCommand, ASnapshotWithoutRoomIsRefusedInOneLine) {
  const auto machine = start_memwalk(file("m"));
  ASSERT_EQ(uvmm({"snapshot", file("m"), file("dir")}).status, 0);
  const ProcessResult refused = test::run_process(
      {"/bin/bash", "-c", "ulimit -f 100; exec " + kUvmm + " snapshot " + file("m") + " " + file("dir")},
      {kPatience, {}});
  EXPECT_EQ(refused.status, 6) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("make room"));
  EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1) << refused.err;
  const ProcessResult restored = uvmm({"run", "--restore", file("dir"), "--resume", "--console", "none"});
  EXPECT_EQ(restored.status, 0) << restored.err;
  EXPECT_EQ(machine->wait(kPatience), 0) << machine->output();
}

TEST_F(ForkCommand, ListAndTreeShowWhoIsWhose) {
  const auto parent = std::make_unique<test::BackgroundProcess>(
      std::vector<std::string>{kUvmm, "run", "--builtin", "idle", "--console", "none", "--name", "first"},
      file("log"));
  std::string listed;
  for (const auto begin = std::chrono::steady_clock::now();
       listed.find("first") == std::string::npos && std::chrono::steady_clock::now() - begin < kPatience;) {
    listed = uvmm({"list"}).out;
  }
  ASSERT_THAT(listed, HasSubstr("running"));
  const auto child = std::make_unique<test::BackgroundProcess>(
      std::vector<std::string>{kUvmm, "fork", "first", "--console", "none", "--control", file("uvmm/x.sock"),
                               "--paused"},
      file("child.log"));
  wait_for(file("uvmm/x.sock"));
  const std::string tree = uvmm({"tree"}).out;
  EXPECT_THAT(tree, HasSubstr("\nfirst "));
  EXPECT_THAT(tree, HasSubstr("\n  first "));
  EXPECT_THAT(tree, HasSubstr("paused"));
}

TEST_F(ForkCommand, NobodyThereIsAnErrorInOneLine) {
  const ProcessResult path = uvmm({"fork", file("nobody")});
  EXPECT_NE(path.status, 0);
  EXPECT_THAT(path.err, HasSubstr("nobody"));
  const ProcessResult name = uvmm({"fork", "nobody"});
  EXPECT_NE(name.status, 0);
  EXPECT_THAT(name.err, HasSubstr("no machine 'nobody' runs here"));
}

}  // namespace command_test

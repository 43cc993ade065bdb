// The process that starts copies: one command, and nothing of its parent's.
#include "vmm/control/starter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/eventually.h"
#include "tests/support/temp_folder.h"

namespace vmm::control {
namespace starter_test {

std::string content_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A shell that writes what it has open, whether it may get new privileges, and its last word into `file`.
Starter::Plan telling(const std::string& file) {
  Starter::Plan plan;
  plan.words = {"/bin/sh", "-c",
                "(ls /proc/self/fd | wc -l; awk '/^NoNewPrivs/ { print $2 }' /proc/self/status; echo $0) > " +
                    file + ".new; mv " + file + ".new " + file};
  plan.last_word = [](unsigned number) { return "copy" + std::to_string(number); };
  return plan;
}

TEST(Starter, RunsItsCommandWithItsNumberAndNoDescriptorsOfOthers) {
  const test::TempFolder folder("starter");
  const std::ofstream open(folder.file("open"));
  const auto starter = Starter::create(telling(folder.file("told")));
  ASSERT_TRUE(starter) << starter.error().text();
  const auto copy = (*starter)->start();
  ASSERT_TRUE(copy) << copy.error().text();
  EXPECT_GT(copy->pid, 0);
  EXPECT_EQ(copy->number, 1U);
  EXPECT_TRUE(test::eventually([&] { return (*starter)->has_ended(copy->pid); }));
  // stdin, stdout, stderr and the folder that ls reads.
  EXPECT_EQ(content_of(folder.file("told")), "4\n1\ncopy1\n");
}

TEST(Starter, KnowsWhoStillRuns) {
  Starter::Plan plan;
  plan.words = {"/bin/sleep"};
  plan.last_word = [](unsigned) { return std::string("1000"); };
  const auto starter = Starter::create(plan);
  ASSERT_TRUE(starter);
  const auto copy = (*starter)->start();
  ASSERT_TRUE(copy);
  EXPECT_FALSE((*starter)->has_ended(copy->pid));
  ::kill(copy->pid, SIGKILL);
  EXPECT_TRUE(test::eventually([&] { return (*starter)->has_ended(copy->pid); }));
}

/// Writes into files by the name of its last word: that it waits, and that it has begun or is not wanted.
Starter::Plan waiting(const std::string& folder) {
  Starter::Plan plan;
  plan.words = {"/bin/sh", "-c",
                "cd " + folder +
                    " && if [ -n \"$1\" ]; then touch $0.waits; read line || { touch $0.left; exit; }; fi; "
                    "touch $0.begun; exec sleep 1000"};
  plan.last_word = [](unsigned number) { return "copy" + std::to_string(number); };
  plan.ready_word = "--ready";
  return plan;
}

TEST(Starter, OneThatIsReadyBeginsAndAnotherTakesItsPlace) {
  const test::TempFolder folder("starter");
  const auto there = [&](const std::string& name) {
    return test::eventually([&] { return std::filesystem::exists(folder.file(name)); });
  };
  auto starter = Starter::create(waiting(folder.file(".")));
  ASSERT_TRUE(starter);
  ASSERT_TRUE((*starter)->keep_ready(2));
  EXPECT_TRUE(there("copy1.waits"));
  EXPECT_TRUE(there("copy2.waits"));
  EXPECT_FALSE(std::filesystem::exists(folder.file("copy1.begun")));
  const auto copy = (*starter)->start();
  ASSERT_TRUE(copy);
  EXPECT_EQ(copy->number, 1U);
  EXPECT_TRUE(there("copy1.begun"));
  EXPECT_TRUE(there("copy3.waits"));
  // The starter ends; those who wait with it, and those who have begun not.
  starter = uvm::Error(uvm::ErrorKind::NotFound, "gone");
  EXPECT_TRUE(there("copy2.left"));
  EXPECT_TRUE(there("copy3.left"));
  EXPECT_EQ(::kill(copy->pid, SIGKILL), 0);
}

TEST(Starter, OneThatHasEndedBeforeItWasWantedIsNoCopy) {
  const test::TempFolder folder("starter");
  Starter::Plan plan = waiting(folder.file("."));
  plan.words[2] = "[ -z \"$1\" ] || { echo $$ > " + folder.file("gone") + "; exit; }; exec sleep 1000";
  const auto starter = Starter::create(plan);
  ASSERT_TRUE(starter);
  ASSERT_TRUE((*starter)->keep_ready(1));
  pid_t gone = 0;
  ASSERT_TRUE(
      test::eventually([&] { return static_cast<bool>(std::ifstream(folder.file("gone")) >> gone); }));
  ASSERT_TRUE(test::eventually([&] { return (*starter)->has_ended(gone); }));
  const auto copy = (*starter)->start();
  ASSERT_TRUE(copy) << copy.error().text();
  EXPECT_NE(copy->pid, gone);
  EXPECT_GE(copy->number, 2U);
  EXPECT_FALSE((*starter)->has_ended(copy->pid));
  ::kill(copy->pid, SIGKILL);
}

TEST(Starter, SaysThatThereIsNoSuchProgram) {
  Starter::Plan plan;
  plan.words = {"/no/such/program"};
  plan.last_word = [](unsigned) { return std::string(); };
  const auto starter = Starter::create(plan);
  ASSERT_TRUE(starter);
  const auto copy = (*starter)->start();
  ASSERT_FALSE(copy);
  EXPECT_EQ(copy.error().kind(), uvm::ErrorKind::NotFound);
  EXPECT_FALSE((*starter)->keep_ready(1));
}

TEST(Starter, ThatCannotBeginIsAnErrorOfTheFirstCopy) {
  const test::TempFolder folder("starter");
  Starter::Plan plan = telling(folder.file("told"));
  plan.begin = [] { return uvm::Status(uvm::Error(uvm::ErrorKind::Permission, "no")); };
  const auto starter = Starter::create(plan);
  ASSERT_TRUE(starter);
  EXPECT_FALSE((*starter)->start());
  EXPECT_TRUE((*starter)->has_ended(1));
}

}  // namespace starter_test
}  // namespace vmm::control

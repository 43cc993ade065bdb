// The process that starts copies: one command, and nothing of its parent's.
#include "vmm/control/starter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <string>

#include "tests/support/eventually.h"
#include "tests/support/temp_folder.h"

namespace vmm::control {
namespace {

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
  const auto pid = (*starter)->start(7);
  ASSERT_TRUE(pid) << pid.error().text();
  EXPECT_GT(*pid, 0);
  EXPECT_TRUE(test::eventually([&] { return (*starter)->has_ended(*pid); }));
  // stdin, stdout, stderr and the folder that ls reads.
  EXPECT_EQ(content_of(folder.file("told")), "4\n1\ncopy7\n");
}

TEST(Starter, KnowsWhoStillRuns) {
  Starter::Plan plan;
  plan.words = {"/bin/sleep"};
  plan.last_word = [](unsigned) { return std::string("1000"); };
  const auto starter = Starter::create(plan);
  ASSERT_TRUE(starter);
  const auto pid = (*starter)->start(1);
  ASSERT_TRUE(pid);
  EXPECT_FALSE((*starter)->has_ended(*pid));
  ::kill(*pid, SIGKILL);
  EXPECT_TRUE(test::eventually([&] { return (*starter)->has_ended(*pid); }));
}

TEST(Starter, SaysThatThereIsNoSuchProgram) {
  Starter::Plan plan;
  plan.words = {"/no/such/program"};
  plan.last_word = [](unsigned) { return std::string(); };
  const auto starter = Starter::create(plan);
  ASSERT_TRUE(starter);
  const auto pid = (*starter)->start(1);
  ASSERT_FALSE(pid);
  EXPECT_EQ(pid.error().kind(), uvm::ErrorKind::NotFound);
}

TEST(Starter, ThatCannotBeginIsAnErrorOfTheFirstCopy) {
  const test::TempFolder folder("starter");
  Starter::Plan plan = telling(folder.file("told"));
  plan.begin = [] { return uvm::Status(uvm::Error(uvm::ErrorKind::Permission, "no")); };
  const auto starter = Starter::create(plan);
  ASSERT_TRUE(starter);
  EXPECT_FALSE((*starter)->start(1));
  EXPECT_TRUE((*starter)->has_ended(1));
}

}  // namespace
}  // namespace vmm::control

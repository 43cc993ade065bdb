// How many forks of a machine run at once: --max-children, against those who fork and fork.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/background_process.h"
#include "tests/support/eventually.h"
#include "tests/support/kvm_machine.h"
#include "tests/support/places.h"
#include "tests/support/process.h"
#include "tests/support/running_machine.h"
#include "tests/support/temp_folder.h"
#include "vmm/control/client.h"
#include "vmm/control/family.h"
#include "vmm/control/server.h"

namespace family_test {

using std::chrono::seconds;
using test::ProcessResult;
using ::testing::HasSubstr;
using uvm::ErrorKind;
using vmm::Fd;
using vmm::control::Family;

const std::string kUvmm = test::uvmm_path();
constexpr seconds kPatience{120};

TEST(Family, HasSoManyPlacesAndTakesThemBack) {
  const auto family = Family::create(2);
  ASSERT_TRUE(family) << family.error().text();
  auto one = (*family)->take_place();
  const auto two = (*family)->take_place();
  ASSERT_TRUE(one && two);
  const auto three = (*family)->take_place();
  ASSERT_FALSE(three);
  EXPECT_EQ(three.error().kind(), ErrorKind::Busy);
  EXPECT_THAT(three.error().text(), HasSubstr("all 2 places"));
  EXPECT_THAT(three.error().text(), HasSubstr("--max-children"));
  one->reset();
  EXPECT_TRUE((*family)->take_place());
}

TEST(Family, IsTheSameForAMemberWhosePlaceGoesWithIt) {
  const auto family = Family::create(1);
  ASSERT_TRUE(family) << family.error().text();
  auto place = (*family)->take_place();
  ASSERT_TRUE(place) << place.error().text();
  {
    const auto member = Family::adopt(*std::move(place));
    ASSERT_TRUE(member) << member.error().text();
    EXPECT_EQ((*member)->most(), 1U);
    EXPECT_FALSE((*member)->take_place()) << "it holds the only one itself";
  }
  EXPECT_TRUE((*family)->take_place());
}

TEST(Family, MayHaveNoPlacesAtAll) {
  const auto family = Family::create(0);
  ASSERT_TRUE(family) << family.error().text();
  EXPECT_FALSE((*family)->take_place());
}

class MaxChildren : public testing::Test {
 protected:
  void SetUp() override { UVMM_REQUIRE_KVM(); }

  [[nodiscard]] std::string file(const std::string& name) const { return folder_.file(name); }

  static ProcessResult uvmm(std::vector<std::string> words) {
    words.insert(words.begin(), kUvmm);
    return test::run_process(words, {kPatience, {}});
  }
  [[nodiscard]] static bool answers(const std::string& socket) {
    return test::eventually([&] { return vmm::control::ask(socket, "status").has_value(); });
  }
  /// How many machines answer.
  static std::ptrdiff_t machines() {
    const std::string listed = uvmm({"list"}).out;
    return std::count(listed.begin(), listed.end(), '\n') - 1;
  }

  using Process = std::unique_ptr<test::BackgroundProcess>;
  [[nodiscard]] Process start(std::vector<std::string> words, const std::string& name) const {
    words.insert(words.begin(), kUvmm);
    words.insert(words.end(), {"--console", "none"});
    return std::make_unique<test::BackgroundProcess>(words, file(name + ".log"));
  }
  [[nodiscard]] Process start_first(const std::string& most) const {
    auto first =
        start({"run", "--builtin", "spin", "-m", "16M", "--max-children", most, "--control", file("first")},
              "first");
    EXPECT_TRUE(answers(file("first"))) << first->output();
    return first;
  }
  [[nodiscard]] Process start_fork(const std::string& of, const std::string& name) const {
    auto child = start({"fork", file(of), "--control", file(name)}, name);
    EXPECT_TRUE(answers(file(name))) << child->output();
    return child;
  }
  static void expect_refused(const ProcessResult& fork) {
    EXPECT_NE(fork.status, 0);
    EXPECT_THAT(fork.err, HasSubstr("--max-children"));
    EXPECT_EQ(std::count(fork.err.begin(), fork.err.end(), '\n'), 1) << fork.err;
  }

  const test::RunFolder folder_{"family"};
};

TEST_F(MaxChildren, CountsTheForksOfForksAndGivesAPlaceBack) {
  const Process first = start_first("2");
  Process child = start_fork("first", "child");
  const Process grandchild = start_fork("child", "grandchild");
  for (const char* of : {"first", "child", "grandchild"}) expect_refused(uvmm({"fork", file(of)}));
  // The first one may go; the others are as many as before.
  EXPECT_EQ(uvmm({"quit", file("first")}).status, 0);
  EXPECT_EQ(first->wait(kPatience), 0) << first->output();
  expect_refused(uvmm({"fork", file("grandchild")}));
  child.reset();  // killed
  const Process again = start_fork("grandchild", "again");
  expect_refused(uvmm({"fork", file("again")}));
}

TEST_F(MaxChildren, OfSeveralAtOnceAreAllRefusedOrNone) {
  const Process first = start_first("2");
  expect_refused(uvmm({"fork", file("first"), "-n", "3"}));
  const Process two = start({"fork", file("first"), "-n", "2"}, "two");
  EXPECT_TRUE(test::eventually([] { return machines() == 2; })) << two->output();
  expect_refused(uvmm({"fork", file("first")}));
  const Process none =
      start({"run", "--builtin", "idle", "--max-children", "0", "--control", file("none")}, "none");
  EXPECT_TRUE(answers(file("none"))) << none->output();
  expect_refused(uvmm({"fork", file("none")}));
}

TEST_F(MaxChildren, RefuseBeforeTheMachineIsAskedForAnImage) {
  test::RunningMachine machine(test::builtin_config("spin"));
  ASSERT_TRUE(machine.wait_for_work());
  std::atomic<int> images = 0;
  std::list<vmm::control::Environment> doors;
  const auto serve = [&](const std::string& name, std::uint32_t most) {
    vmm::control::Environment& its = doors.emplace_back(machine->doors());
    its.family = *Family::create(most);
    its.take_image = [&] {
      ++images;
      return machine->take_image();
    };
    its.fork = [&](std::uint32_t) -> uvm::Result<vmm::control::ForkedImage> {
      ++images;
      UVMM_TRY(auto image, machine->take_image());
      return vmm::control::ForkedImage{std::move(image), {}};
    };
    return vmm::control::Server::create(file(name), its);
  };
  auto none = serve("none", 0);
  auto one = serve("one", 1);
  ASSERT_TRUE(none && one);
  ASSERT_TRUE((*none)->start() && (*one)->start());
  expect_refused(uvmm({"fork", file("none")}));
  EXPECT_EQ(images, 0);
  const Process child = start_fork("one", "child");
  EXPECT_EQ(images, 1);
}

TEST_F(MaxChildren, HoldAgainstABombOfForks) {
  // At a path of its own: the forks are listed, it is not.
  const Process first = start_first("3");
  std::vector<Process> bomb;
  for (int i = 0; i < 12; ++i) bomb.push_back(start({"fork", file("first")}, "bomb" + std::to_string(i)));
  int refused = 0;
  ASSERT_TRUE(test::eventually([] { return machines() == 3; }));
  for (const Process& one : bomb) {
    if (one->prints("--max-children", 0, seconds(1))) ++refused;
  }
  EXPECT_EQ(refused, 9);
  EXPECT_EQ(machines(), 3);
}

}  // namespace family_test

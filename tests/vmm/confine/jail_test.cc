// Users, cgroups and network namespaces of a machine's process.
#include "vmm/confine/jail.h"

#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <vector>

#include "tests/support/temp_folder.h"

namespace vmm::confine {
namespace jail_test {

using ::testing::HasSubstr;

constexpr unsigned kNobody = 65534;

/// 0 if `act` holds in a process of its own.
int in_child(const std::function<bool()>& act) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(act() ? 0 : 1);
  int status = -1;
  ::waitpid(child, &status, 0);
  return status;
}

std::string content_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

Options limited() {
  Options options;
  options.memory_max = 1 << 30;
  options.pids_max = 32;
  return options;
}

TEST(Jail, WithoutWordsChangesNothing) {
  EXPECT_TRUE(enter_jail({}));
  EXPECT_TRUE(give_up_rights({}, {}));
}

TEST(Jail, SetsTheLimitsOfItsCgroup) {
  const test::TempFolder cgroup("cgroup");
  std::ofstream(cgroup.file("memory.max")) << "";
  std::ofstream(cgroup.file("pids.max")) << "";
  ASSERT_TRUE(set_limits(cgroup.path(), limited()));
  EXPECT_EQ(content_of(cgroup.file("memory.max")), "1073741824");
  EXPECT_EQ(content_of(cgroup.file("pids.max")), "32");
}

TEST(Jail, SaysHowToGetAControllerThatIsNotThere) {
  const test::TempFolder cgroup("cgroup");
  const auto refused = set_limits(cgroup.path() + "/vm", limited());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), uvm::ErrorKind::Unsupported);
  EXPECT_THAT(refused.error().text(), HasSubstr("no memory controller"));
  EXPECT_THAT(refused.error().way_out(),
              HasSubstr("+memory to " + cgroup.path() + "/cgroup.subtree_control"));
}

TEST(Jail, RefusesWhatIsNoCgroupAndNoNetwork) {
  const test::TempFolder folder("jail");
  Options options;
  options.cgroup = folder.path();
  auto refused = enter_jail(options);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("is not in a cgroup2 file system"));
  options = {};
  options.netns = folder.file("none");
  refused = enter_jail(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), uvm::ErrorKind::NotFound);
  options.netns = "/proc/self/ns/uts";
  refused = enter_jail(options);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("--netns /proc/self/ns/uts"));
}

TEST(Jail, MovesIntoACgroup) {
  std::string root;
  for (const char* each : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
    if (::access((std::string(each) + "/cgroup.subtree_control").c_str(), W_OK) == 0) root = each;
  }
  if (root.empty()) GTEST_SKIP() << "no cgroup2 file system that this user may write";
  Options options;
  options.cgroup = root + "/uvmm-test-" + std::to_string(::getpid());
  if (::mkdir(options.cgroup.c_str(), 0755) != 0) GTEST_SKIP() << "no cgroup can be made in " << root;
  EXPECT_EQ(in_child([&] {
              const auto entered = enter_jail(options);
              if (!entered) std::fprintf(stderr, "%s\n", entered.error().text().c_str());
              return entered &&
                     content_of(options.cgroup + "/cgroup.procs") == std::to_string(::getpid()) + "\n";
            }),
            0);
  ::rmdir(options.cgroup.c_str());
}

TEST(Jail, ANetworkNamespaceIsEntered) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may enter one";
  Options options;
  options.netns = "/proc/self/ns/net";
  EXPECT_EQ(in_child([&] { return bool(enter_jail(options)); }), 0);
}

TEST(Jail, RightsAreGivenUpForGood) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  const test::TempFolder folder("jail");
  const std::string socket = folder.file("socket");
  std::ofstream(socket) << "";
  Options options;
  options.uid = kNobody;
  options.gid = kNobody;
  EXPECT_EQ(in_child([&] {
              const std::vector<std::string> sockets = {socket};
              if (!give_up_rights(options, sockets)) return false;
              const bool is_nobody =
                  ::getuid() == kNobody && ::geteuid() == kNobody && ::getegid() == kNobody;
              const bool can_return = ::setuid(0) == 0 || ::setgid(0) == 0 || ::getgroups(0, nullptr) != 0;
              return is_nobody && !can_return && ::access("/proc/self/pagemap", R_OK) == 0;
            }),
            0);
  struct stat info {};
  ASSERT_EQ(::stat(socket.c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, kNobody);
  EXPECT_EQ(info.st_gid, kNobody);
}

TEST(Jail, WithoutRightsItSaysSo) {
  Options options;
  options.uid = kNobody;
  options.gid = kNobody;
  const auto refused = give_up_rights(options, std::vector<std::string>{"/proc/none"});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("/proc/none"));
}

}  // namespace jail_test
}  // namespace vmm::confine

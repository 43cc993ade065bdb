// What guests have in host memory, by uvmm's own count, against what the kernel's smaps says of the mappings
// that show it: a parent, its children and a grandchild, each in a process of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "tests/fork/guest_family.h"
#include "tests/support/places.h"
#include "tests/support/process.h"
#include "tests/support/rsp_client.h"
#include "vmm/api/client.h"
#include "vmm/gdb/hex.h"
#include "vmm/machine/memory_map.h"

namespace memory_shares_test {

using std::chrono::seconds;
using ::testing::HasSubstr;
using vmm::MemoryShare;

const std::string kUvmm = test::uvmm_path();
constexpr seconds kPatience{120};
constexpr std::uint64_t kPage = uvm::kPageSize;

class MemoryShares : public test::GuestFamily {
 protected:
  /// Of one that was started with a debugger's socket beside its control socket: what the monitor prints.
  [[nodiscard]] std::string monitor(const std::string& name, const std::string& line) const {
    vmm::gdb::ListenAddress address;
    address.path = folder_.file(name + ".gdb");
    test::RspClient client(address);
    EXPECT_TRUE(client.is_connected()) << name;
    std::string text;
    std::optional<std::string> packet = client.ask("qRcmd," + vmm::gdb::hex_text(line));
    for (; packet && packet->starts_with("O") && *packet != "OK"; packet = client.receive()) {
      std::string part(packet->size() / 2, ' ');
      EXPECT_TRUE(vmm::gdb::decode_hex(packet->substr(1), std::as_writable_bytes(std::span(part))));
      text += part;
    }
    EXPECT_EQ(packet, "OK") << text;
    EXPECT_TRUE(client.ask("D"));
    return text;
  }
  void start_with_debugger(const std::string& name, std::vector<std::string> words) {
    words.insert(words.end(), {"--gdb", "unix:" + folder_.file(name + ".gdb")});
    start(name, std::move(words));
  }
  /// So many pages of the guest's RAM from `gpa` on are written, and no others.
  void write_pages(const std::string& name, std::uint64_t gpa, std::size_t pages) const {
    std::ofstream(folder_.file("bytes"), std::ios::binary) << std::string(pages * kPage, name.front());
    EXPECT_THAT(monitor(name, "load " + folder_.file("bytes") + " phys:" + std::to_string(gpa)),
                HasSubstr(std::to_string(pages * kPage) + " bytes loaded"));
  }
  /// Bytes of all files of guest memory that some guest has open, each once, as stat() has them.
  [[nodiscard]] std::uint64_t kernel_held() const {
    std::map<std::pair<dev_t, ino_t>, std::uint64_t> files;
    for (const std::string& name : names_) {
      std::error_code error;
      for (const auto& entry : std::filesystem::directory_iterator("/proc/" + pid_of(name) + "/fd", error)) {
        const std::string target = std::filesystem::read_symlink(entry.path(), error).string();
        struct stat file {};
        // The last are files of a process's own tmpfs.
        const bool is_memory = target.starts_with("/memfd:ram") || target.starts_with("/memfd:pages") ||
                               target.starts_with("/#");
        if (!is_memory) continue;
        if (::stat(entry.path().c_str(), &file) == 0) {
          files[{file.st_dev, file.st_ino}] = static_cast<std::uint64_t>(file.st_blocks) * 512;
        }
      }
    }
    std::uint64_t sum = 0;
    for (const auto& [inode, bytes] : files) sum += bytes;
    return sum;
  }
};

/// The files with changed pages of images that a process has open.
std::set<std::uint64_t> pages_of(const std::string& pid) {
  std::set<std::uint64_t> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + pid + "/fd", error)) {
    struct stat file {};
    if (!std::filesystem::read_symlink(entry.path(), error).string().starts_with("/memfd:pages")) continue;
    if (::stat(entry.path().c_str(), &file) == 0) files.insert(file.st_ino);
  }
  return files;
}

TEST_F(MemoryShares, OfPagesThatStayTheSameAllCopiesHaveAPart) {
  constexpr std::uint64_t kWhere = 16 << 20;
  start_with_debugger("parent", {"run", "--builtin", "spin", "-m", "32M", "--memory-backing", "shared",
                                 "--huge-pages", "never"});
  start("first", {"fork", socket("parent"), "--paused"});
  ASSERT_TRUE(vmm::control::ask(socket("parent"), "pause"));
  write_pages("parent", kWhere, 100);
  start("one", {"fork", socket("parent"), "--paused"});
  start("two", {"fork", socket("parent"), "--paused"});
  const std::string parent = pid_of("parent");
  EXPECT_EQ(pages_of(pid_of("one")).size(), 1U);
  EXPECT_EQ(pages_of(pid_of("one")), pages_of(pid_of("two")));
  EXPECT_EQ(pages_of(parent), pages_of(pid_of("one"))) << "kept for the next copy";
  expect_the_kernel_agrees();

  ASSERT_TRUE(vmm::control::ask(socket("one"), "quit"));
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  EXPECT_EQ(pages_of(parent).size(), 1U) << "one copy is still there";
  ASSERT_TRUE(vmm::control::ask(socket("two"), "quit"));
  EXPECT_TRUE(test::eventually([&] { return pages_of(parent).empty(); })) << "nobody else has them";
}

TEST_F(MemoryShares, OfAFamilyAreTheKernelsAfterKnownWritesInEach) {
  constexpr std::uint64_t kWhere = 16 << 20;
  start_with_debugger("parent", {"run", "--builtin", "spin", "-m", "32M", "--memory-backing", "shared",
                                 "--huge-pages", "never"});
  write_pages("parent", kWhere, 100);
  start_with_debugger("one", {"fork", socket("parent"), "--paused"});
  start_with_debugger("two", {"fork", socket("parent"), "--paused"});
  ASSERT_TRUE(vmm::control::ask(socket("parent"), "pause"));
  const auto forked = own_count();
  write_pages("one", kWhere + 50 * kPage, 60);
  start_with_debugger("grandchild", {"fork", socket("one"), "--paused"});
  pause_all();
  expect_the_kernel_agrees();
  const auto before = own_count();
  EXPECT_EQ(before[1].unique, forked[1].unique + 60 * kPage);
  // Each where the others have written too, and beside it; none of them twice.
  const std::vector<std::size_t> written{10, 70, 0, 33};
  write_pages("parent", kWhere, written[0]);
  write_pages("one", kWhere + (4 << 20), written[1]);
  write_pages("grandchild", kWhere + 60 * kPage, written[3]);
  pause_all();
  expect_the_kernel_agrees();
  const auto after = own_count();
  for (std::size_t i = 0; i < after.size(); ++i) {
    EXPECT_EQ(after[i].unique + after[i].shared, before[i].unique + before[i].shared + written[i] * kPage)
        << names_[i];
    EXPECT_EQ(after[i].unique, before[i].unique + written[i] * kPage) << names_[i];
  }
  // One that is killed is not counted, and what it shared is the others' alone.
  processes_.pop_back();
  names_.pop_back();
  expect_the_kernel_agrees();
}

TEST_F(MemoryShares, OfACopyWhoseScatteredPagesAreMadeLaterAreTheKernels) {
  constexpr std::uint64_t kWhere = 16 << 20;
  start_with_debugger("parent", {"run", "--builtin", "spin", "-m", "32M", "--memory-backing", "shared",
                                 "--huge-pages", "never"});
  start("first", {"fork", socket("parent"), "--paused"});
  for (std::uint64_t page = 0; page < 40; ++page) write_pages("parent", kWhere + 16 * page * kPage, 1);
  start_with_debugger("one", {"fork", socket("parent")});
  pause_all();
  expect_the_kernel_agrees();
  const auto before = own_count();
  write_pages("one", kWhere, 1);
  pause_all();
  expect_the_kernel_agrees();
  EXPECT_GE(own_count()[2].unique, before[2].unique + 32 * kPage) << "those that lie in the same 2 MiB";
}

TEST_F(MemoryShares, OfObjectsAreWhatTheKernelHoldsAndNothingTwice) {
  start_with_debugger("parent", {"run", "--builtin", "spin", "-m", "32M", "--memory-backing", "shared",
                                 "--huge-pages", "never"});
  write_pages("parent", 16 << 20, 200);
  start("one", {"fork", socket("parent"), "--paused"});
  start("two", {"fork", socket("one"), "--paused"});
  pause_all();
  const auto guests = resident();
  const vmm::HeldObjects objects = vmm::objects_of(guests);
  EXPECT_EQ(objects.held, kernel_held());
  EXPECT_GE(objects.unseen, 200 * kPage) << "nobody has read these since the fork";
  EXPECT_LE(objects.unseen, objects.held);
  const std::string tree = test::run_process({kUvmm, "tree"}, {kPatience, {}}).out;
  EXPECT_THAT(tree, HasSubstr(" of " + vmm::human_bytes(objects.held) + " in all, " +
                              vmm::human_bytes(objects.unseen) + " of these in no guest's view\n"));
}

TEST_F(MemoryShares, AreToldByEachGuestItself) {
  start_with_debugger("parent", {"run", "--builtin", "spin", "-m", "32M", "--memory-backing", "shared",
                                 "--huge-pages", "never", "--api-socket", folder_.file("parent.api")});
  start("one", {"fork", socket("parent")});
  // They run the same code.
  EXPECT_TRUE(test::eventually([this] { return own_count()[0].shared != 0; }));
  const auto statistics = [this] {
    const auto answer =
        vmm::api::ask(folder_.file("parent.api"), {vmm::api::Method::Get, "/memory/stats", {}});
    return boost::json::parse(answer ? *answer : "{}").at("shares").as_object();
  };
  pause_all();
  const MemoryShare share = own_count()[0];
  EXPECT_EQ(statistics().at("unique").to_number<std::uint64_t>(), share.unique);
  EXPECT_EQ(statistics().at("shared").to_number<std::uint64_t>(), share.shared);
  EXPECT_EQ(statistics().at("proportional").to_number<std::uint64_t>(), share.proportional);
  EXPECT_EQ(statistics().at("guests"), 2);
  const auto metrics = vmm::api::ask(folder_.file("parent.api"), {vmm::api::Method::Get, "/metrics", {}});
  EXPECT_THAT(metrics.value(), HasSubstr("uvmm_memory_share_bytes{kind=\"proportional\"} " +
                                         std::to_string(share.proportional) + "\n"));
  EXPECT_THAT(metrics.value(), HasSubstr("uvmm_memory_share_guests 2\n"));
  EXPECT_THAT(
      monitor("parent", "info uvm shares"),
      HasSubstr("unique " + vmm::human_bytes(share.unique) + ", shared " + vmm::human_bytes(share.shared) +
                ", proportional " + vmm::human_bytes(share.proportional) + ", among 2 guests\nobjects: "));
  // One that stands still altogether is told of, and holds nobody up.
  const auto child = static_cast<pid_t>(std::stol(pid_of("one")));
  ASSERT_EQ(::kill(child, SIGSTOP), 0);
  // The kernel stops its threads one by one.
  EXPECT_TRUE(test::eventually([&] { return statistics().at("silent") == 1; }));
  EXPECT_EQ(statistics().at("guests"), 1);
  const auto listed = [](const std::vector<std::string>& words) {
    return test::run_process(words, {kPatience, {}}).out;
  };
  EXPECT_THAT(listed({kUvmm, "list"}), HasSubstr(" silent "));
  EXPECT_THAT(listed({kUvmm, "tree"}), HasSubstr(" silent "));
  EXPECT_THAT(listed({kUvmm, "top", "--json"}), HasSubstr("\"silent\":true"));
  ASSERT_EQ(::kill(child, SIGCONT), 0);
  EXPECT_TRUE(test::eventually([&] { return statistics().at("guests") == 2; }));
}

TEST_F(MemoryShares, OfAParentAndTwoChildrenAreTheKernels) {
  start("parent", {"run", "--builtin", "memwalk", "--builtin-args", "passes=100000", "-m", "32M",
                   "--memory-backing", "shared", "--huge-pages", "never"});
  pause_all();
  expect_the_kernel_agrees();
  EXPECT_EQ(own_count()[0].shared, 0U) << "nobody else is there";
  start("one", {"fork", socket("parent"), "--paused"});
  start("two", {"fork", socket("parent")});
  // One works and has pages of its own soon, one has none yet but those that building it took.
  EXPECT_TRUE(test::eventually([this] { return own_count()[2].unique > 4 << 20; }));
  pause_all();
  expect_the_kernel_agrees();
  ASSERT_TRUE(vmm::control::ask(socket("parent"), "resume"));
  EXPECT_TRUE(test::eventually([this] { return own_count()[0].unique > 4 << 20; }));
  pause_all();
  expect_the_kernel_agrees();
}

TEST_F(MemoryShares, OfGuestsThatReadTheSamePagesAreTheKernels) {
  start("parent",
        {"run", "--builtin", "spin", "-m", "32M", "--memory-backing", "shared", "--huge-pages", "never"});
  start("one", {"fork", socket("parent")});
  start("two", {"fork", socket("parent")});
  // They run the same code, and write to few pages.
  EXPECT_TRUE(test::eventually([this] {
    const auto all = own_count();
    return std::ranges::all_of(all, [](const MemoryShare& share) { return share.shared != 0; });
  }));
  pause_all();
  expect_the_kernel_agrees();
  for (const MemoryShare& share : own_count()) {
    EXPECT_GT(share.proportional, share.unique);
    EXPECT_LT(share.proportional, share.unique + share.shared);
  }
}

TEST_F(MemoryShares, AreListedWithWhatCheckpointsHold) {
  start("parent", {"run", "--builtin", "memwalk", "--builtin-args", "passes=100000", "-m", "32M",
                   "--memory-backing", "shared", "--huge-pages", "never"});
  start("child", {"fork", socket("parent")});
  EXPECT_TRUE(test::eventually([this] { return own_count()[1].unique > 4 << 20; }));
  pause_all();
  ASSERT_TRUE(vmm::control::ask(socket("child"), "checkpoint", "before"));
  const std::string listed = test::run_process({kUvmm, "list"}, {kPatience, {}}).out;
  const auto shares = own_count();
  for (const MemoryShare& share : shares) {
    EXPECT_THAT(listed, HasSubstr(vmm::human_bytes(share.unique))) << listed;
    EXPECT_THAT(listed, HasSubstr(vmm::human_bytes(share.proportional))) << listed;
  }
  EXPECT_THAT(listed, HasSubstr("child.sock  before=")) << listed;
  EXPECT_THAT(listed, HasSubstr("CHECKPOINTS")) << listed;
  const std::string status = vmm::control::ask(socket("child"), "status").value();
  const auto number = [&](const std::string& key) {
    return std::strtoull(status.c_str() + status.find("\"" + key + "\":") + key.size() + 3, nullptr, 10);
  };
  EXPECT_GE(number("held"), number("copied"));
  EXPECT_LE(number("held"), number("copied") + (2 << 20)) << "room made ahead";
  EXPECT_GE(number("copied"), 4U << 20);
  // What it holds alone is what its end gives back, by the kernel's count; the rest its machine holds too.
  const auto guests = resident();
  EXPECT_EQ(number("shared"), vmm::objects_of(std::span(guests).subspan(1)).held);
  const std::uint64_t held = number("held");
  const std::uint64_t with_it = kernel_held();
  // A second one of the same memory holds nothing more, and as long as it is there the first gives nothing
  // back.
  ASSERT_TRUE(vmm::control::ask(socket("child"), "checkpoint", "second"));
  EXPECT_EQ(kernel_held(), with_it);
  ASSERT_TRUE(vmm::control::ask(socket("child"), "drop", "before"));
  EXPECT_EQ(kernel_held(), with_it);
  ASSERT_TRUE(vmm::control::ask(socket("child"), "drop", "second"));
  EXPECT_EQ(with_it - kernel_held(), held);
}

}  // namespace memory_shares_test

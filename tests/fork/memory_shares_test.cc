// What guests have in host memory, by uvmm's own count, against what the kernel's smaps says of the mappings
// that show it: a parent and two children, each in a process of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/background_process.h"
#include "tests/support/eventually.h"
#include "tests/support/kvm_machine.h"
#include "tests/support/process.h"
#include "tests/support/temp_folder.h"
#include "vmm/control/client.h"
#include "vmm/machine/memory_map.h"
#include "vmm/machine/memory_shares.h"

namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using vmm::MemoryShare;

const std::string kUvmm = UVMM_BUILD_DIR "/uvmm";
constexpr seconds kPatience{120};

/// Of the mappings of guest RAM, by the names of the files they show; private pages are in the same mappings.
MemoryShare kernel_share(const std::string& pid) {
  std::ifstream smaps("/proc/" + pid + "/smaps");
  MemoryShare sum;
  bool ram = false;
  for (std::string line; std::getline(smaps, line);) {
    std::istringstream words(line);
    std::string name;
    std::uint64_t kilobytes = 0;
    words >> name >> kilobytes;
    if (!name.ends_with(':')) {
      ram = line.find("/memfd:ram") != std::string::npos || line.find("/memfd:pages") != std::string::npos;
    } else if (ram) {
      if (name.starts_with("Private_")) sum.unique += kilobytes << 10;
      if (name.starts_with("Shared_")) sum.shared += kilobytes << 10;
      if (name == "Pss:") sum.proportional += kilobytes << 10;
    }
  }
  return sum;
}

class MemoryShares : public testing::Test {
 protected:
  void SetUp() override {
    UVMM_REQUIRE_KVM();
    ASSERT_TRUE(std::filesystem::create_directory(folder_.file("uvmm")));
    std::filesystem::permissions(folder_.file("uvmm"), std::filesystem::perms::owner_all);
  }

  [[nodiscard]] std::string socket(const std::string& name) const {
    return folder_.file("uvmm/" + name + ".sock");
  }
  void start(const std::string& name, std::vector<std::string> words) {
    words.insert(words.begin(), kUvmm);
    words.insert(words.end(), {"--console", "none", "--name", name, "--control", socket(name)});
    processes_.push_back(std::make_unique<test::BackgroundProcess>(words, folder_.file(name + ".log")));
    ASSERT_TRUE(test::eventually([&] { return vmm::control::ask(socket(name), "status").has_value(); }))
        << processes_.back()->output();
    names_.push_back(name);
  }
  /// Every machine stands still after this.
  void pause_all() const {
    for (const std::string& name : names_) ASSERT_TRUE(vmm::control::ask(socket(name), "pause"));
  }
  [[nodiscard]] std::vector<MemoryShare> own_count() const {
    std::vector<vmm::ResidentPages> resident;
    for (const std::string& name : names_) {
      auto pages = vmm::control::fetch_resident_pages(socket(name));
      EXPECT_TRUE(pages) << pages.error().text();
      resident.push_back(pages ? *std::move(pages) : vmm::ResidentPages());
    }
    return vmm::shares_of(resident);
  }
  [[nodiscard]] std::vector<MemoryShare> kernel_count() const {
    std::vector<MemoryShare> shares;
    for (const std::string& name : names_) {
      const std::string status = vmm::control::ask(socket(name), "status").value();
      const std::size_t at = status.find("\"pid\":") + 6;
      shares.push_back(kernel_share(status.substr(at, status.find_first_not_of("0123456789", at) - at)));
    }
    return shares;
  }
  void expect_the_kernel_agrees() const {
    const auto own = own_count();
    const auto kernel = kernel_count();
    for (std::size_t i = 0; i < names_.size(); ++i) {
      // The same mappings, so nothing else is in them; smaps rounds each one's proportional part down to 1
      // KiB.
      EXPECT_EQ(own[i].unique, kernel[i].unique) << names_[i];
      EXPECT_EQ(own[i].shared, kernel[i].shared) << names_[i];
      EXPECT_NEAR(static_cast<double>(own[i].proportional), static_cast<double>(kernel[i].proportional),
                  8 << 10)
          << names_[i];
    }
  }

  const test::RunFolder folder_{"shares"};
  std::vector<std::string> names_;
  std::vector<std::unique_ptr<test::BackgroundProcess>> processes_;
};

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
}

}  // namespace

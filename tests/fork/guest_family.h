// A family of guests, each in a process of its own, and what two say of their memory: uvmm, and the kernel in
// smaps.
#pragma once

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
#include "tests/support/places.h"
#include "tests/support/temp_folder.h"
#include "vmm/control/client.h"
#include "vmm/machine/memory_shares.h"

namespace test {

using vmm::MemoryShare;

/// Of the mappings of guest RAM, by the names of the files they show; private pages are in the same mappings.
inline MemoryShare kernel_share(const std::string& pid) {
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

class GuestFamily : public testing::Test {
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
    words.insert(words.begin(), test::uvmm_path());
    words.insert(words.end(), {"--console", "none", "--name", name, "--control", socket(name)});
    processes_.push_back(std::make_unique<BackgroundProcess>(words, folder_.file(name + ".log")));
    ASSERT_TRUE(eventually([&] { return vmm::control::ask(socket(name), "status").has_value(); }))
        << processes_.back()->output();
    names_.push_back(name);
  }
  /// Every machine stands still after this.
  void pause_all() const {
    for (const std::string& name : names_) ASSERT_TRUE(vmm::control::ask(socket(name), "pause"));
  }
  [[nodiscard]] std::vector<vmm::ResidentPages> resident() const {
    std::vector<vmm::ResidentPages> all;
    for (const std::string& name : names_) {
      auto pages = vmm::control::fetch_resident_pages(socket(name));
      EXPECT_TRUE(pages) << pages.error().text();
      all.push_back(pages ? *std::move(pages) : vmm::ResidentPages());
    }
    return all;
  }
  [[nodiscard]] std::vector<MemoryShare> own_count() const { return vmm::shares_of(resident()); }
  [[nodiscard]] std::string pid_of(const std::string& name) const {
    const std::string status = vmm::control::ask(socket(name), "status").value();
    const std::size_t at = status.find("\"pid\":") + 6;
    return status.substr(at, status.find_first_not_of("0123456789", at) - at);
  }
  [[nodiscard]] std::vector<MemoryShare> kernel_count() const {
    std::vector<MemoryShare> shares;
    for (const std::string& name : names_) shares.push_back(kernel_share(pid_of(name)));
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

  const RunFolder folder_{"shares"};
  std::vector<std::string> names_;
  std::vector<std::unique_ptr<BackgroundProcess>> processes_;
};

}  // namespace test

// A stock Debian kernel as a guest, for tests that run inside the rig or on a host whose KVM runs Linux.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/places.h"
#include "tests/support/process.h"
#include "vmm/kvm/probe.h"

namespace test {

/// A guest and what became of it.
class LinuxGuest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::filesystem::temp_directory_path() / "uvmm-rig-test";
    std::filesystem::create_directories(folder_);
    // The shared file system of the rig is slow; what every test reads is copied once.
    for (const char* name : {"vmlinuz", "initramfs.cpio.gz"}) {
      std::filesystem::copy_file(asset(name), folder_ / name,
                                 std::filesystem::copy_options::overwrite_existing);
    }
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(folder_); }

  void SetUp() override {
    const auto verdict = vmm::kvm::can_boot_linux();
    if (!verdict.possible) GTEST_SKIP() << verdict.reason;
  }

  static std::string file(const std::string& name) { return (folder_ / name).string(); }

  /// `uvmm run` with the given kernel, one vCPU and 256 MiB, unless `more` says otherwise; `words` go to the
  /// guest.
  static std::vector<std::string> machine(const std::string& words,
                                          const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {
        test::uvmm_path(), "run", "-i", file("initramfs.cpio.gz"), "-p", "console=ttyS0 panic=-1 " + words};
    if (std::find(more.begin(), more.end(), "-k") == more.end()) {
      arguments.insert(arguments.end(), {"-k", file("vmlinuz")});
    }
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  static ProcessResult boot(const std::string& words, const std::vector<std::string>& more = {},
                            const ProcessOptions& options = {}) {
    return run_process(machine(words, more), options);
  }

  /// The guest got to user space, said `expected`, and ended well.
  static void expect_good(const ProcessResult& result, const std::string& expected) {
    EXPECT_EQ(result.status, 0) << result.err << "\n" << result.out;
    EXPECT_NE(result.out.find("uvmm-guest: init reached"), std::string::npos) << result.out;
    EXPECT_NE(result.out.find(expected), std::string::npos) << result.out;
  }

  static inline std::filesystem::path folder_;
};

}  // namespace test

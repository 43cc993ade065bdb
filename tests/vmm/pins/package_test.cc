// The libraries as others get them: installed, found by find_package(), used by a project outside the tree.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "tests/support/places.h"
#include "tests/support/process.h"
#include "tests/vmm/pins/pin_space.h"
#include "uvm/base/sanitizers.h"
#include "vmm/pins/server.h"

namespace package_test {

using ::testing::HasSubstr;

class Package : public test::PinSpace {
 protected:
  void SetUp() override {
    if (uvm::kSanitized) GTEST_SKIP() << "a sanitizer's libraries want a sanitized program";
    std::filesystem::create_directories(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  static void expect_success(const test::ProcessResult& result) {
    EXPECT_EQ(result.status, 0) << result.out << result.err;
  }

  const std::string root_ = testing::TempDir() + "uvmm-package-" + std::to_string(::getpid());
};

TEST_F(Package, AProjectOutsideTheTreeBuildsAgainstIt) {
  const std::string example = root_ + "/example";
  expect_success(test::run_process(
      {"/usr/bin/env", "cmake", "--install", test::build_dir(), "--prefix", root_ + "/prefix"}));
  // A copy, so that nothing of the tree can be found beside it.
  std::filesystem::copy(test::source_dir() + "/tests/package", example);
  expect_success(test::run_process({"/usr/bin/env", "cmake", "-G", "Ninja", "-S", example, "-B",
                                    root_ + "/build", "-DCMAKE_PREFIX_PATH=" + root_ + "/prefix",
                                    std::string("-DCMAKE_CXX_COMPILER=") + test::compiler()}));
  expect_success(test::run_process({"/usr/bin/env", "cmake", "--build", root_ + "/build"}));

  const auto in_process = test::run_process({root_ + "/build/in_process"});
  expect_success(in_process);
  EXPECT_THAT(in_process.out, HasSubstr("is pinned by disk0"));
  EXPECT_THAT(in_process.out, HasSubstr("\nread\n"));

  const std::string socket = root_ + "/socket";
  auto server = vmm::pins::serve(socket, {*space_, uvm::kNoPinLimit, {}});
  ASSERT_TRUE(server) << server.error().text();
  ASSERT_TRUE((*server)->start());
  expect_success(test::run_process({root_ + "/build/device", socket, "0x3004"}));
  EXPECT_EQ(word(3), std::uint64_t{42} << 32U);
  EXPECT_EQ(test::run_process({root_ + "/prefix/bin/uvmm", "--version"}).status, 0);
}

}  // namespace package_test

// A stock Debian kernel under uvmm on real nested paging. Runs inside the rig, or on a host whose KVM runs
// Linux.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/rig/linux_guest_fixture.h"
#include "tests/support/process.h"

namespace linux_test {

namespace fs = std::filesystem;
using test::asset;
using test::run_process;

std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class Linux : public test::LinuxGuest {};

TEST_F(Linux, BootsToUserspaceAndPowersOff) {
  const auto before = slurp(file("vmlinuz"));
  const auto result = boot("uvmm.poweroff", {"--show-map"});
  expect_good(result, "Linux guest 6.");
  EXPECT_NE(result.out.find("initrd"), std::string::npos) << "no map: " << result.out;
  EXPECT_TRUE(slurp(file("vmlinuz")) == before) << "the kernel file was changed";
}

TEST_F(Linux, BootsOnAnonymousMemory) {
  expect_good(boot("uvmm.poweroff", {"--memory-backing", "anonymous"}), "processors: 1");
}

TEST_F(Linux, BringsUpSixteenProcessors) {
  expect_good(boot("uvmm.poweroff", {"-c", "16", "-m", "512"}), "processors: 16");
}

TEST_F(Linux, BootsWithTheFullInterruptControllers) {
  expect_good(boot("uvmm.poweroff", {"--irqchip", "full", "-c", "2"}), "processors: 2");
}

TEST_F(Linux, UsesMemoryAboveFourGigabytes) {
  const auto result = boot("uvmm.exec=grep,System,/proc/iomem", {"-m", "5G"});
  expect_good(result, "100000000-");
}

TEST_F(Linux, BootsAndComputesWithinAMemoryLimit) {
  // 30 MB of file data, which is RAM in this guest, and two sums over it; the limit holds only a part of all.
  const auto expected = run_process({"/bin/sh", "-c", "yes uvmm | head -c 30000000 | md5sum"});
  ASSERT_EQ(expected.out.size(), 36u) << expected.err;
  const auto result =
      boot("uvmm.exec=yes,uvmm|head,-c,30000000,>/data;md5sum</data;md5sum</data uvmm.poweroff",
           {"--memory-limit", "56M", "--show-map"}, {.limit = std::chrono::seconds(600), .input = {}});
  expect_good(result, expected.out.substr(0, 32));
  EXPECT_NE(result.out.find("swapped"), std::string::npos) << result.out;
  EXPECT_EQ(result.out.find("swapped 0\n"), std::string::npos) << "nothing went to swap: " << result.out;
}

TEST_F(Linux, ResetEndsTheRun) {
  expect_good(boot("uvmm.reboot"), "Linux guest");
}

TEST_F(Linux, APanicResetsAndIsSeenOnTheConsole) {
  const auto result = boot("uvmm.panic");
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_NE(result.out.find("Kernel panic"), std::string::npos) << result.out;
}

TEST_F(Linux, BootsTheElfKernelThroughPvh) {
  if (!fs::exists(asset("vmlinux")))
    GTEST_SKIP() << asset("vmlinux") << " is missing (./dev assets makes it)";
  expect_good(boot("uvmm.poweroff", {"-k", asset("vmlinux"), "--kernel-format", "pvh"}), "Linux guest");
}

TEST_F(Linux, BootsTheElfKernelThroughTheLinuxProtocol) {
  if (!fs::exists(asset("vmlinux")))
    GTEST_SKIP() << asset("vmlinux") << " is missing (./dev assets makes it)";
  expect_good(boot("uvmm.poweroff", {"-k", asset("vmlinux"), "--kernel-format", "elf64"}), "Linux guest");
}

TEST_F(Linux, TypedInputReachesTheGuestAndNoByteIsLost) {
  std::string typed;
  for (int i = 0; i < 60; ++i) typed += "line " + std::to_string(i) + " of what somebody types in a hurry\n";
  test::ProcessOptions options;
  // The quotes keep the echo of the command from being taken for its output.
  options.input = {{"login:", "root\n"},
                   {"root@guest", "echo re''ady; cat >/tmp/typed; md5sum </tmp/typed; poweroff -f\n"},
                   {"ready", typed + '\x04'}};
  const auto result = boot("", {}, options);
  EXPECT_EQ(result.status, 0) << result.err << result.out;
  test::ProcessOptions host;
  host.input = {{"", typed}};
  const auto sum = run_process({"/usr/bin/md5sum"}, host);
  ASSERT_EQ(sum.status, 0);
  EXPECT_NE(result.out.find(sum.out.substr(0, 32)), std::string::npos) << result.out;
}

TEST_F(Linux, ManyLinesOfOutputArriveComplete) {
  const auto result = boot("quiet uvmm.exec=seq,1,3000");
  expect_good(result, "uvmm-guest: end 0");
  const auto begin = result.out.find("uvmm-guest: begin");
  ASSERT_NE(begin, std::string::npos);
  std::string expected;
  for (int i = 1; i <= 3000; ++i) expected += std::to_string(i) + "\r\n";
  EXPECT_NE(result.out.find(expected, begin), std::string::npos) << "lines are missing or mangled";
}

}  // namespace linux_test

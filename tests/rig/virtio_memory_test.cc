// A stock Debian kernel that gives memory back, reads an image that is memory, and talks over hvc0.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/rig/virtio_guest.h"
#include "tests/support/background_process.h"
#include "tests/support/eventually.h"
#include "tests/support/places.h"
#include "tests/support/process.h"

namespace virtio_memory_test {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr std::chrono::seconds kLimit{600};
constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
const std::string kUvmm = test::uvmm_path();

class VirtioMemoryLinux : public test::VirtioGuest {
 protected:
  static void SetUpTestSuite() {
    VirtioGuest::SetUpTestSuite();
    add_modules(
        {"libnvdimm", "nd_btt", "nd_pmem", "nd_virtio", "virtio_pmem", "virtio_balloon", "virtio_console"});
  }

  /// What `uvmm balloon` says of the machine at a socket.
  static std::string balloon(const std::vector<std::string>& words) {
    std::vector<std::string> all{kUvmm, "balloon"};
    all.insert(all.end(), words.begin(), words.end());
    const auto done = test::run_process(all);
    EXPECT_EQ(done.status, 0) << done.err;
    return done.out;
  }
  static std::uint64_t number_in(const std::string& text, const std::string& key) {
    const std::size_t at = text.find("\"" + key + "\":");
    return at == std::string::npos ? 0 : std::stoull(text.substr(at + key.size() + 3));
  }
  /// Bytes of the machine's process that are in memory.
  static std::uint64_t resident(const std::string& socket) {
    const auto status = test::run_process({kUvmm, "status", socket});
    std::ifstream map("/proc/" + std::to_string(number_in(status.out, "pid")) + "/smaps_rollup");
    for (std::string line; std::getline(map, line);) {
      if (line.starts_with("Rss:")) return std::stoull(line.substr(4)) * 1024;
    }
    return 0;
  }
  static std::vector<std::string> machine(const std::string& words, const std::vector<std::string>& more) {
    std::vector<std::string> all{"--control", file("control.sock")};
    all.insert(all.end(), more.begin(), more.end());
    return VirtioGuest::machine(words, all);
  }
};

TEST_F(VirtioMemoryLinux, ABalloonGivesTheHostItsMemoryBack) {
  // Pages that the guest has had, and has freed.
  const std::string use = script("dd if=/dev/zero of=/f bs=1M count=120; rm /f; echo is-free; sleep 1000");
  test::BackgroundProcess guest(machine(use, {"--balloon", "0,stats=1"}), file("guest.log"));
  ASSERT_TRUE(guest.prints("is-free", 0, kLimit)) << guest.output();
  const std::string socket = file("control.sock");
  const std::uint64_t before = resident(socket);
  ASSERT_GT(before, 120 * kMiB);
  balloon({socket, "128M"});
  ASSERT_TRUE(test::eventually([&] { return number_in(balloon({socket}), "actual_mib") == 128; }))
      << balloon({socket});
  const std::uint64_t after = resident(socket);
  std::fprintf(stderr, "[  FIGURE  ] resident before %llu MiB, with a balloon of 128 MiB %llu MiB\n",
               static_cast<unsigned long long>(before / kMiB), static_cast<unsigned long long>(after / kMiB));
  EXPECT_LT(after + 64 * kMiB, before);
  EXPECT_GT(number_in(balloon({socket}), "total_memory"), 0U) << "the guest's own statistics";
  balloon({socket, "0"});
  EXPECT_TRUE(test::eventually([&] { return number_in(balloon({socket}), "actual_mib") == 0; }));
  EXPECT_EQ(test::run_process({kUvmm, "quit", socket}).status, 0);
  EXPECT_EQ(guest.wait(kLimit), 0) << guest.output();
}

TEST_F(VirtioMemoryLinux, WhatIsFreeIsReported) {
  const std::string use = script("dd if=/dev/zero of=/f bs=1M count=120; rm /f; echo is-free; sleep 1000");
  test::BackgroundProcess guest(machine(use, {"--balloon", "0,reporting"}), file("guest.log"));
  ASSERT_TRUE(guest.prints("is-free", 0, kLimit)) << guest.output();
  const std::string socket = file("control.sock");
  EXPECT_TRUE(test::eventually([&] { return number_in(balloon({socket}), "given_back") > 64 * kMiB; }))
      << balloon({socket});
  EXPECT_EQ(test::run_process({kUvmm, "quit", socket}).status, 0);
  EXPECT_EQ(guest.wait(kLimit), 0) << guest.output();
}

TEST_F(VirtioMemoryLinux, AnImageIsReadAsMemory) {
  const auto made = test::run_process({"/bin/sh", "-c", "yes uvmm | head -c 4194304 > " + file("image")});
  ASSERT_EQ(made.status, 0) << made.err;
  const auto sum = test::run_process({"/usr/bin/md5sum", file("image")});
  const auto result = boot(script("md5sum /dev/pmem0; dd if=/dev/zero of=/dev/pmem0 bs=4k count=1 "
                                  "conv=fsync || echo not-written; md5sum /dev/pmem0"),
                           {"--pmem", file("image")});
  expect_good(result, sum.out.substr(0, 32) + "  /dev/pmem0");
  EXPECT_EQ(test::run_process({"/usr/bin/md5sum", file("image")}).out, sum.out) << "the file is as it was";
}

TEST_F(VirtioMemoryLinux, ItTalksOverHvc0) {
  test::ProcessOptions typed;
  typed.input = {{"who is there", "it is me\n"}};
  // Held open: what is typed at a terminal that is closed meanwhile is lost, as the kernel has it.
  const auto result = boot(script("exec 3<>/dev/hvc0; echo who is there >&3; read line <&3; "
                                  "echo \"heard: $line\" >&3; seq 1 2000 >&3; echo done >&3"),
                           {"--console", "virtio"}, typed);
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("heard: it is me"));
  EXPECT_THAT(result.out, HasSubstr("2000\r\ndone"));
}

}  // namespace virtio_memory_test

// A stock Debian kernel on virtio devices that Debian's qemu-storage-daemon and virtiofsd serve.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/rig/virtio_guest.h"
#include "tests/support/background_process.h"
#include "tests/support/fake_back_end.h"
#include "tests/support/places.h"
#include "tests/support/process.h"

namespace vhost_user_test {

namespace fs = std::filesystem;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

constexpr std::chrono::seconds kLimit{600};
constexpr const char* kStorageDaemon = "/usr/bin/qemu-storage-daemon";
constexpr const char* kFileDaemon = "/usr/lib/qemu/virtiofsd";

class VhostUserLinux : public test::VirtioGuest {
 protected:
  static void SetUpTestSuite() {
    VirtioGuest::SetUpTestSuite();
    add_modules({"virtio_blk", "fuse", "virtiofs"});
  }

  static std::string socket() { return file("socket"); }
  [[nodiscard]] static bool listens() {
    return test::eventually([] { return fs::is_socket(socket()); });
  }
  void TearDown() override { fs::remove(socket()); }

  /// A daemon that exports a file as a disk.
  static std::vector<std::string> storage_daemon(const std::string& image) {
    return {kStorageDaemon, "--blockdev", "driver=file,node-name=disk,filename=" + image, "--export",
            "type=vhost-user-blk,id=export,node-name=disk,writable=on,addr.type=unix,addr.path=" + socket()};
  }
  static void make_image(const std::string& path) {
    std::ofstream(path, std::ios::binary).close();
    fs::resize_file(path, 128 << 20);
  }
};

#define UVMM_REQUIRE_PROGRAM(path) \
  if (!fs::exists(path)) GTEST_SKIP() << (path) << " is not installed (package qemu-system-common)"

/// The 32 digits that md5sum prints in front of a name.
std::string sum_in(const std::string& text, const std::string& name) {
  const std::size_t at = text.find("  " + name);
  return at == std::string::npos || at < 32 ? "none" : text.substr(at - 32, 32);
}

TEST_F(VhostUserLinux, ADiskKeepsAFileSystemOverAReboot) {
  UVMM_REQUIRE_PROGRAM(kStorageDaemon);
  make_image(file("disk"));
  // Here: the guest's user space is busybox, which cannot.
  const auto formatted = test::run_process({"/sbin/mkfs.ext4", "-q", file("disk")});
  ASSERT_EQ(formatted.status, 0) << formatted.err;
  test::BackgroundProcess back_end(storage_daemon(file("disk")), file("daemon.log"));
  ASSERT_TRUE(listens()) << back_end.output();
  const auto first = boot(script("mount -t ext4 /dev/vda /root && head -c 67108864 /dev/urandom >/root/data; "
                                 "md5sum /root/data; umount /root; cat /proc/interrupts"),
                          {"-c", "2", "--vhost-user-blk", socket()});
  expect_good(first, "uvmm-guest: end 0");
  const std::string sum = sum_in(first.out, "/root/data");
  EXPECT_EQ(sum.size(), 32U) << first.out;
  EXPECT_THAT(first.out, ContainsRegex("PCI-MSI.*virtio0-req")) << "interrupts are messages";
  const auto second =
      boot(script("mount -t ext4 /dev/vda /root; md5sum /root/data"), {"--vhost-user-blk", socket()});
  expect_good(second, "uvmm-guest: end 0");
  EXPECT_EQ(sum_in(second.out, "/root/data"), sum) << second.out;
}

TEST_F(VhostUserLinux, AKilledDaemonLeavesTheGuestIoErrors) {
  UVMM_REQUIRE_PROGRAM(kStorageDaemon);
  make_image(file("disk"));
  std::vector<std::string> words{"/bin/sh", "-c", "\"$0\" \"$@\" & echo pid=$!; wait"};
  for (const std::string& word : storage_daemon(file("disk"))) words.push_back(word);
  test::BackgroundProcess back_end(words, file("daemon.log"));
  ASSERT_TRUE(listens()) << back_end.output();
  ASSERT_TRUE(back_end.prints("\n", 0, kLimit));
  const pid_t daemon = std::stoi(back_end.output().substr(back_end.output().find("pid=") + 4));
  // Two read for ever, until they are told that it failed; then one who comes anew is told so, too. The
  // device's status says what has happened.
  const std::string words_of_guest = script(
      "for skip in 0 100; do (while dd if=/dev/vda of=/dev/null bs=64k skip=$skip count=16 iflag=direct "
      "2>/err$skip; do :; done) & done; "
      "cd /sys/bus/virtio/devices/virtio0; echo rea\"\"dy; until grep -q 4f status; do sleep 1; done; "
      "echo needs-re\"\"set; grep virtio0-config /proc/interrupts; wait; cat /err*; "
      "dd if=/dev/vda of=/dev/null bs=64k count=1 2>&1; dd if=/dev/zero of=/dev/vda bs=64k count=1 "
      "oflag=direct 2>&1");
  test::BackgroundProcess machine(
      {test::uvmm_path(), "run", "-k", file("vmlinuz"), "-i", file("initramfs.cpio.gz"), "-p",
       "console=ttyS0 panic=-1 " + words_of_guest, "--vhost-user-blk", socket()},
      file("machine.log"));
  ASSERT_TRUE(machine.prints("ready", 0, kLimit)) << machine.output();
  ASSERT_EQ(::kill(daemon, SIGKILL), 0);
  ASSERT_TRUE(machine.prints("needs-reset", 0, kLimit)) << machine.output();
  EXPECT_EQ(machine.wait(kLimit), 0) << machine.output();
  EXPECT_THAT(machine.output(), ContainsRegex(" 1  *PCI-MSI [^\n]*virtio0-config"))
      << "one interrupt told it";
  EXPECT_THAT(machine.output(), HasSubstr("vhost-user device has failed device=vhost-user-blk0"));
  const std::string output = machine.output();
  const std::string error = "Input/output error";
  std::size_t errors = 0;
  for (std::size_t at = 0; (at = output.find(error, at)) != std::string::npos; at += error.size()) ++errors;
  EXPECT_EQ(errors, 4U) << output;
}

TEST_F(VhostUserLinux, AFileSystemOfTheHostsIsMounted) {
  UVMM_REQUIRE_PROGRAM(kFileDaemon);
  fs::create_directories(folder_ / "shared");
  std::ofstream(folder_ / "shared" / "song") << "ninety-nine bottles\n";
  test::BackgroundProcess back_end({kFileDaemon, "--socket-path=" + socket(), "-o",
                                    "source=" + file("shared") + ",sandbox=chroot,no_posix_lock"},
                                   file("daemon.log"));
  ASSERT_TRUE(listens()) << back_end.output();
  const auto result =
      boot(script("mkdir /m; mount -t virtiofs music /m && cat /m/song && echo guest >/m/from-guest"),
           {"--vhost-user-fs", socket() + ",tag=music"});
  expect_good(result, "uvmm-guest: end 0");
  EXPECT_THAT(result.out, HasSubstr("ninety-nine bottles")) << back_end.output();
  std::string written;
  std::ifstream(folder_ / "shared" / "from-guest") >> written;
  EXPECT_EQ(written, "guest");
}

}  // namespace vhost_user_test

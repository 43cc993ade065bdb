// A stock Debian kernel on our own virtio disks: a file system on one over reboots, kills and forks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <vector>

#include "tests/rig/virtio_guest.h"
#include "tests/support/background_process.h"
#include "tests/support/places.h"
#include "tests/support/process.h"

namespace disk_test {

namespace fs = std::filesystem;
using test::run_process;
using ::testing::ContainsRegex;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr std::chrono::seconds kLimit{600};

class LinuxDisk : public test::VirtioGuest {
 protected:
  static void SetUpTestSuite() {
    VirtioGuest::SetUpTestSuite();
    add_modules({"virtio_blk"});
  }

  /// An image of 128 MiB with an empty ext4. Made here: the guest's user space is busybox, which cannot.
  static std::string file_system(const std::string& name) {
    std::ofstream(file(name), std::ios::binary).close();
    fs::resize_file(file(name), 128 << 20);
    const auto formatted = run_process({"/sbin/mkfs.ext4", "-q", file(name)});
    EXPECT_EQ(formatted.status, 0) << formatted.err;
    return file(name);
  }
  static void expect_clean(const std::string& image) {
    const auto checked = run_process({"/sbin/e2fsck", "-fn", image});
    EXPECT_EQ(checked.status, 0) << checked.out << checked.err;
  }
  /// One that says by which number to kill it.
  static std::vector<std::string> killable_machine(const std::string& words,
                                                   const std::vector<std::string>& more) {
    std::vector<std::string> all{"/bin/sh", "-c", "echo pid=$$; exec \"$0\" \"$@\""};
    for (std::string& word : machine(words, more)) all.push_back(std::move(word));
    return all;
  }
};

/// The 32 digits that md5sum prints in front of a name.
std::string sum_in(const std::string& text, const std::string& name) {
  const std::size_t at = text.find("  " + name);
  return at == std::string::npos || at < 32 ? "none" : text.substr(at - 32, 32);
}

/// The rounds of a guest that says "wrote 7 of 7.": which one, and how many marks it found on its disk.
std::vector<int> rounds_in(const std::string& text) {
  static const std::regex line("wrote ([0-9]+) of ([0-9]+)\\.");
  std::vector<int> rounds;
  for (std::sregex_iterator found(text.begin(), text.end(), line), end; found != end; ++found) {
    rounds.push_back(std::stoi((*found)[1]));
    EXPECT_EQ((*found)[1], (*found)[2]) << "memory and disk are of different moments";
  }
  return rounds;
}

TEST_F(LinuxDisk, AFileSystemIsThereAfterAReboot) {
  const std::string image = file_system("disk");
  const std::string other = file_system("other");
  const auto first = boot(
      script("mount -t ext4 /dev/vda /root && head -c 67108864 /dev/urandom >/root/data; md5sum /root/data; "
             "umount /root; cat /sys/block/vd?/serial /sys/block/vdb/ro; cat /proc/interrupts; "
             "cat /sys/block/vda/queue/discard_max_bytes; blkdiscard -l 1M /dev/vdb || echo re\"\"fused"),
      {"-c", "2", "-d", image + ",serial=first-disk", "-d", other + ",ro"});
  expect_good(first, "uvmm-guest: end 0");
  const std::string sum = sum_in(first.out, "/root/data");
  EXPECT_EQ(sum.size(), 32U) << first.out;
  EXPECT_THAT(first.out, HasSubstr("first-diskvdb1"))
      << "the serial numbers, of which the second is its name; that one is only read";
  EXPECT_THAT(first.out, ContainsRegex("virtio0-req.1")) << "a queue for each processor";
  expect_clean(image);
  const auto second =
      boot(script("mount -t ext4 /dev/vda /root; md5sum /root/data; rm /root/data; fstrim /root; "
                  "umount /root"),
           {"-d", image});
  expect_good(second, "uvmm-guest: end 0");
  EXPECT_EQ(sum_in(second.out, "/root/data"), sum) << second.out;
  expect_clean(image);
}

// What was flushed is there, whenever the machine is killed, and the file system holds.
TEST_F(LinuxDisk, WhatWasSyncedIsThereAfterAKill) {
  const std::string image = file_system("disk");
  for (int round = 0; round < 3; ++round) {
    test::BackgroundProcess guest(
        killable_machine(
            script("mount -t ext4 /dev/vda /root && cd /root && rm -rf d* && i=0; while true; do "
                   "i=$((i+1)); head -c 300000 /dev/urandom >d$i; md5sum d$i >d$i.sum; sync; "
                   "echo synced $i; done"),
            {"-d", image}),
        file("machine.log"));
    ASSERT_TRUE(guest.prints("synced 5", 0, kLimit)) << guest.output();
    const std::size_t pid = guest.output().find("pid=");
    ASSERT_EQ(::kill(std::stoi(guest.output().substr(pid + 4)), SIGKILL), 0);
    ASSERT_EQ(guest.wait(kLimit), 128 + SIGKILL);
    const std::string output = guest.output();
    const std::size_t last = output.rfind("synced ");
    const int synced = std::stoi(output.substr(last + 7));
    // Its journal has to be played, which mounting does.
    const auto after = boot(
        script("mount -t ext4 /dev/vda /root && cd /root && i=0; while [ $i -lt " + std::to_string(synced) +
               " ]; do i=$((i+1)); md5sum -c d$i.sum || echo lo\"\"st; done; cd /; umount /root"),
        {"-d", image});
    expect_good(after, "uvmm-guest: end 0");
    EXPECT_THAT(after.out, HasSubstr("d" + std::to_string(synced) + ": OK"));
    EXPECT_EQ(after.out.find("lost"), std::string::npos) << after.out;
    expect_clean(image);
  }
}

// Each round marks a block of the third disk and counts, from the disk, those that are marked: what a kernel
// still has in memory it would write over a disk of another moment.
TEST_F(LinuxDisk, AForkReadsTheSameDiskAndNeverWritesItsParentsAndAResetBringsItBack) {
  const std::string image = file_system("disk");
  const std::string shared = file_system("shared");
  const std::string marks = file("marks");
  std::ofstream(marks, std::ios::binary).close();
  fs::resize_file(marks, 1 << 20);
  const std::string loop = script(
      "mount -t ext4 /dev/vda /root && mount -t ext4 -o ro /dev/vdb /tmp && i=0; while true; do "
      "i=$((i+1)); cat /proc/sys/kernel/random/uuid >/root/who; echo >/mark; "
      "dd if=/mark of=/dev/vdc bs=4096 seek=$i 2>/dev/null; sync; "
      "echo 3 >/proc/sys/vm/drop_caches; ls /tmp >/dev/null && cat /root/who && "
      "echo \"wro\"\"te $i of $(wc -l </dev/vdc).\"; done");
  test::BackgroundProcess parent(machine(loop, {"-d", image + ",fork=copy", "-d", shared + ",ro", "-d",
                                                marks + ",fork=copy", "--control", file("parent.sock")}),
                                 file("parent.log"));
  ASSERT_TRUE(parent.prints("wrote 2 of", 0, kLimit)) << parent.output();
  test::BackgroundProcess child(
      {test::uvmm_path(), "fork", file("parent.sock"), "--control", file("child.sock")}, file("child.log"));
  const auto ask = [&](const std::string& verb, const std::string& who) {
    const auto done = run_process({test::uvmm_path(), verb, file(who + ".sock")});
    EXPECT_EQ(done.status, 0) << verb << " of the " << who << ": " << done.err;
  };
  ASSERT_TRUE(child.prints("wrote", 0, kLimit)) << child.output();
  ask("checkpoint", "parent");
  const int kept = rounds_in(parent.output()).back();
  ASSERT_TRUE(parent.prints("wrote " + std::to_string(kept + 4) + " of", 0, kLimit)) << parent.output();
  ask("reset", "parent");
  const std::size_t seen = parent.output_size();
  ASSERT_TRUE(parent.prints("wrote " + std::to_string(kept + 3) + " of", seen, kLimit)) << parent.output();
  ASSERT_TRUE(child.prints("wrote", child.output_size(), kLimit)) << child.output();
  for (const char* name : {"child", "parent"}) {
    ask("quit", name);
  }
  EXPECT_EQ(child.wait(kLimit), 0) << child.output();
  EXPECT_EQ(parent.wait(kLimit), 0) << parent.output();
  for (const std::string& output : {parent.output(), child.output()}) {
    EXPECT_EQ(output.find("I/O error"), std::string::npos) << output;
    EXPECT_EQ(output.find("EXT4-fs error"), std::string::npos) << output;
    EXPECT_THAT(rounds_in(output), SizeIs(Ge(2)));
  }
  EXPECT_LE(run_process({"/sbin/e2fsck", "-fp", image}).status, 1) << "its journal can be played";
  expect_clean(image);
}

}  // namespace disk_test

// A whole Debian system as debootstrap makes it, from its boot to its end: systemd, ssh, dpkg, fio and iperf3
// on a disk, a tap interface and passt.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/rig/real_root.h"
#include "tests/support/background_process.h"
#include "tests/support/places.h"
#include "tests/support/process.h"
#include "vmm/kvm/probe.h"

namespace debian_test {

namespace fs = std::filesystem;
using test::ProcessResult;
using test::run_process;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::chrono::seconds kLimit{900};

/// Where ssh finds the guest: its own address on the tap interface, or the host's port that passt forwards.
struct Door {
  std::string host;
  std::string port;
};
const Door kTapDoor{"10.66.0.2", "22"};
const Door kPasstDoor{"127.0.0.1", "2222"};
constexpr const char* kHostOverPasst = "10.55.0.2";  // the gateway's address is this host's loopback

class DebianSystem : public testing::Test {
 protected:
  void SetUp() override {
    if (std::getenv("UVMM_LONG_TESTS") == nullptr) {
      GTEST_SKIP() << "boots a whole system, which takes minutes: ./dev test --long -L rig";
    }
    const auto verdict = vmm::kvm::can_boot_linux();
    if (!verdict.possible) GTEST_SKIP() << verdict.reason;
    for (const char* program : {"/usr/bin/passt", "/usr/bin/ssh", "/usr/bin/iperf3"}) {
      if (!fs::exists(program)) GTEST_SKIP() << program << " is not installed";
    }
    fs::create_directories(folder_);
    const auto given = script("\"$0/tests/rig/debian_image.sh\" --into " + folder_.string());
    if (given.status != 0) GTEST_SKIP() << given.err;
    const auto network = script("\"$0/tests/rig/host_network.sh\" up");
    if (network.status != 0) GTEST_SKIP() << "no tap interfaces here: " << network.err;
  }
  void TearDown() override {
    if (!IsSkipped()) (void)script("\"$0/tests/rig/host_network.sh\" down");
    fs::remove_all(folder_);
  }

  static ProcessResult script(const std::string& words) {
    return run_process({"/bin/bash", "-c", words, test::source_dir()}, {.limit = kLimit, .input = {}});
  }
  [[nodiscard]] std::string file(const std::string& name) const { return (folder_ / name).string(); }

  /// passt, which forwards a port of this host's to the guest's sshd.
  [[nodiscard]] std::vector<std::string> passt() const {
    std::vector<std::string> words = test::in_real_root();
    for (const std::string& word : {std::string("/usr/bin/passt"), std::string("--foreground"),
                                    std::string("--runas"), std::string("0"), std::string("--socket"),
                                    file("passt"), std::string("--tcp-ports"), kPasstDoor.port + ":22"}) {
      words.push_back(word);
    }
    return words;
  }
  [[nodiscard]] std::vector<std::string> machine() const {
    return {test::uvmm_path(), "run", "-m", "512M", "-k", file("kernel"), "-i", file("initrd"), "-p",
            // Emulated and beside other work it takes longer than systemd waits for of itself.
            "systemd.default_timeout_start_sec=900 systemd.default_device_timeout_sec=900 "
            "console=ttyS0 quiet panic=-1 tsc=reliable root=/dev/vda rw net.ifnames=0 "
            "ip=10.66.0.2:::255.255.255.0::eth0:off ip=eth1:dhcp",
            "--disk", file("disk.img"), "--net", "tap=uvmm-tap", "--net", "passt=" + file("passt")};
  }
  /// Runs `command` in the guest; `before` is what the shell here has in front of ssh.
  [[nodiscard]] ProcessResult in_guest(const Door& door, const std::string& command,
                                       const std::string& before = "") const {
    return script(before + "ssh -q -i " + file("key") +
                  " -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -p " +
                  door.port + " root@" + door.host + " '" + command + "'");
  }
  /// A package with 4 MiB of random bytes in it, the file `noise.deb`.
  [[nodiscard]] ProcessResult make_package() const {
    return script(
        "cd " + folder_.string() +
        " && mkdir -p noise/DEBIAN noise/opt && head -c 4194304 /dev/urandom >noise/opt/noise && printf "
        "'Package: noise\\nVersion: 1\\nArchitecture: all\\nMaintainer: nobody <nobody@localhost>\\n"
        "Description: bytes\\n' >noise/DEBIAN/control && dpkg-deb -Znone -b noise noise.deb");
  }
  void expect_package_installs() const {
    const auto made = make_package();
    ASSERT_EQ(made.status, 0) << made.err;
    const auto installed = in_guest(
        kTapDoor, "cat >/tmp/noise.deb && dpkg -i /tmp/noise.deb && dpkg --verify noise && md5sum /opt/noise",
        "cat " + file("noise.deb") + " | ");
    EXPECT_EQ(installed.status, 0) << installed.out << installed.err;
    EXPECT_THAT(installed.out, HasSubstr("Setting up noise (1)"));
    EXPECT_THAT(installed.out,
                HasSubstr(run_process({"/usr/bin/md5sum", file("noise/opt/noise")}).out.substr(0, 32)));
  }
  void expect_disk_holds_what_fio_writes() const {
    const auto verified =
        in_guest(kTapDoor,
                 "fio --name=check --filename=/root/check --size=8M --rw=randwrite --bs=4k --direct=1 "
                 "--ioengine=libaio --iodepth=8 --verify=crc32c --verify_fatal=1");
    EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
  }
  void expect_bytes_both_ways() const {
    const test::BackgroundProcess server({"/usr/bin/iperf3", "-s"}, file("iperf3.log"));
    for (const char* host : {"10.66.0.1", kHostOverPasst}) {
      for (const char* way : {"", " -R"}) {
        const auto sent = in_guest(kTapDoor, std::string("iperf3 -n 8M -c ") + host + way);
        EXPECT_EQ(sent.status, 0) << host << way << sent.out << sent.err;
        EXPECT_THAT(sent.out, HasSubstr("receiver")) << host << way;
      }
    }
  }

  const fs::path folder_ = fs::temp_directory_path() / "uvmm-debian-test";
};

TEST_F(DebianSystem, BootsIsWorkedInAndPowersOff) {
  test::BackgroundProcess forwarder(passt(), file("passt.log"));
  ASSERT_TRUE(forwarder.prints("qemu", 0, kLimit)) << forwarder.output();
  test::BackgroundProcess guest(machine(), file("machine.log"));
  ASSERT_TRUE(guest.prints("debian login:", 0, kLimit)) << guest.output();

  const auto state = in_guest(kTapDoor, "systemctl is-system-running --wait; systemctl --failed");
  EXPECT_THAT(state.out, StartsWith("running")) << state.out << state.err << guest.output();
  expect_package_installs();
  expect_disk_holds_what_fio_writes();
  expect_bytes_both_ways();

  const auto over_passt = in_guest(kPasstDoor, "echo $SSH_CONNECTION; systemctl poweroff");
  EXPECT_THAT(over_passt.out, HasSubstr(std::string("10.55.0.1 22")));
  EXPECT_EQ(guest.wait(kLimit), 0) << guest.output();
  const auto checked = run_process({"/sbin/e2fsck", "-fn", file("disk.img")});
  EXPECT_EQ(checked.status, 0) << checked.out << checked.err;
}

}  // namespace debian_test

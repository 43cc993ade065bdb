// Devices of the host given to an unmodified Linux: an NVMe disk that it makes a file system on, and finds
// again after a reboot, with messages and with nothing but its interrupt line; a serial port, which has ports
// and a line and nothing else; QEMU's edu device, which no driver of its knows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/places.h"
#include "tests/support/process.h"
#include "tests/vfio/edu.h"
#include "uvm/access.h"
#include "vmm/kvm/probe.h"
#include "vmm/machine/machine.h"

namespace linux_test {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

/// One disk of the rig's, QEMU's.
std::optional<vmm::vfio::DeviceOptions> bound_nvme() {
  return test::bound_device("0x1b36", "0x0010");
}

/// Until the guest's driver has found it; $d.
const std::string kWaitForNvme =
    "d=/dev/nvme0n1; n=0\nwhile [ ! -b $d ] && [ $n -lt 600 ]; do sleep 0.1; n=$((n + 1)); done\n";

std::string base64(const std::string& text) {
  test::ProcessOptions options;
  options.input = {{"", text}};
  return test::run_process({"/usr/bin/base64", "-w0"}, options).out;
}

class VfioLinux : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = fs::temp_directory_path() / "uvmm-vfio-test";
    fs::create_directories(folder_);
    // The shared file system of the rig is slow; what every test reads is copied once.
    for (const char* name : {"vmlinuz", "initramfs.cpio.gz"}) {
      fs::copy_file(test::asset(name), folder_ / name, fs::copy_options::overwrite_existing);
    }
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }
  void SetUp() override {
    const auto verdict = vmm::kvm::can_boot_linux();
    if (!verdict.possible) GTEST_SKIP() << verdict.reason;
  }

  /// A guest with the device that runs a script. `words_of_kernel` are more of its command line, `more` of
  /// uvmm's.
  static test::ProcessResult run(const vmm::vfio::DeviceOptions& device, const std::string& script,
                                 const std::string& words_of_kernel = "",
                                 const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = {
        test::uvmm_path(),
        "run",
        "-k",
        (folder_ / "vmlinuz").string(),
        "-i",
        (folder_ / "initramfs.cpio.gz").string(),
        "-m",
        "256M",
        "--show-map",
        "--vfio",
        vmm::vfio::to_string(device),
        "-p",
        "console=ttyS0 quiet panic=-1 " + words_of_kernel + " uvmm.exec=base64:" + base64(script)};
    words.insert(words.end(), more.begin(), more.end());
    test::ProcessOptions options;
    options.limit = std::chrono::seconds(600);  // 64 MiB, by a guest of an emulated machine
    return test::run_process(words, options);
  }
  static void expect_good(const test::ProcessResult& result) {
    EXPECT_EQ(result.status, 0) << result.err << "\n" << result.out;
    EXPECT_THAT(result.out, HasSubstr("uvmm-guest: end 0")) << result.err;
  }

  static inline fs::path folder_;
};

TEST_F(VfioLinux, KeepsAFileOnAnNvmeDiskOverAReboot) {
  const auto disk = bound_nvme();
  if (!disk) GTEST_SKIP() << "no NVMe disk of QEMU's is bound to vfio-pci here (./dev test -L vfio)";
  const auto first = run(
      *disk,
      kWaitForNvme +
          "set -e\nmke2fs $d >/dev/null\nmkdir /disk\nmount $d /disk\n"
          "i=0; while [ $i -lt 40 ]; do cat /bin/busybox; i=$((i + 1)); done | head -c 67108864 >/disk/data\n"
          "echo sum $(md5sum </disk/data)\numount /disk\n"
          "grep nvme /proc/interrupts\n");
  expect_good(first);
  const auto sum = first.out.find("sum ");
  ASSERT_NE(sum, std::string::npos) << first.out << first.err;
  EXPECT_THAT(first.out, HasSubstr("nvme0q1"));
  EXPECT_THAT(first.out, HasSubstr("MSI"));
  EXPECT_THAT(first.out, HasSubstr("vfio0")) << "the memory map tells who has pinned the guest";
  const auto second =
      run(*disk, kWaitForNvme + "mkdir /disk && mount $d /disk && echo sum $(md5sum </disk/data)\n");
  expect_good(second);
  EXPECT_THAT(second.out, HasSubstr(first.out.substr(sum, 36)));
}

/// How often a level-triggered interrupt came, by the guest's /proc/interrupts; 0: nobody of that name has
/// one.
unsigned long times(const std::string& output, const std::string& name) {
  const auto end = output.find("-fasteoi   " + name);
  if (end == std::string::npos) return 0;
  const auto line = output.rfind('\n', end) + 1;
  return std::stoul(output.substr(output.find(':', line) + 1));
}

TEST_F(VfioLinux, AnNvmeDiskWithoutMessagesHasItsLine) {
  const auto disk = bound_nvme();
  if (!disk) GTEST_SKIP() << "no NVMe disk of QEMU's is bound to vfio-pci here (./dev test -L vfio)";
  const auto result =
      run(*disk,
          kWaitForNvme +
              "set -e\nhead -c 4194304 /dev/urandom >/data\n"
              "dd if=/data of=$d bs=64k oflag=direct 2>/dev/null\n"
              "dd if=$d bs=64k count=64 iflag=direct 2>/dev/null | cmp - /data && echo all is there\n"
              "cat /proc/interrupts\n",
          "pci=nomsi");
  expect_good(result);
  EXPECT_THAT(result.out, HasSubstr("all is there"));
  EXPECT_GT(times(result.out, "nvme0q0, nvme0q1"), 100U) << result.out;
  EXPECT_THAT(result.err, Not(HasSubstr("error"))) << result.err;
}

std::optional<vmm::vfio::DeviceOptions> bound_serial() {
  return test::bound_device("0x1b36", "0x0002");
}

/// Ports that the guest's driver writes to, and the line that says it may go on: what comes out is what the
/// emulator wrote to a file of the host's.
TEST_F(VfioLinux, ASerialPortHasItsPortsAndItsLine) {
  const char* const file = std::getenv("UVMM_VFIO_SERIAL");
  const auto serial = bound_serial();
  if (!serial || file == nullptr) {
    GTEST_SKIP() << "no serial port of QEMU's is bound to vfio-pci here (./dev test -L vfio)";
  }
  const auto before = fs::file_size(file);
  const auto result =
      run(*serial,
          "for d in /sys/bus/pci/devices/*; do [ $(cat $d/device) = 0x0002 ] && break; done\n"
          "set -e\nt=$(ls $d/tty)\ncat $d/resource | head -1\nstty -F /dev/$t raw -echo 115200\n"
          "exec 3>/dev/$t\ni=0; while [ $i -lt 200 ]; do echo line $i of the guest; i=$((i + 1)); done >&3\n"
          "cat /proc/interrupts\n");
  expect_good(result);
  EXPECT_THAT(result.out, HasSubstr("0x000000000000c000 0x000000000000c007")) << result.out;
  std::string wanted;
  for (int i = 0; i < 200; ++i) wanted += "line " + std::to_string(i) + " of the guest\n";
  std::ifstream written(file);
  written.seekg(static_cast<std::streamoff>(before));
  const std::string found{std::istreambuf_iterator<char>(written), {}};
  EXPECT_EQ(found, wanted);
  EXPECT_GT(times(result.out, "ttyS1"), 20U) << "a FIFO has 16 bytes, and its driver fills it in each\n"
                                             << result.out;
}

TEST_F(VfioLinux, ADeviceWithNothingButALineIsRefusedWhereNobodyTellsOfItsEnd) {
  const auto serial = bound_serial();
  if (!serial) GTEST_SKIP() << "no serial port of QEMU's is bound to vfio-pci here (./dev test -L vfio)";
  const auto result = run(*serial, "true", "", {"--irqchip", "full"});
  EXPECT_NE(result.status, 0);
  EXPECT_THAT(result.err, HasSubstr("has an interrupt line and no messages"));
  EXPECT_THAT(result.err, HasSubstr("do without --irqchip full"));
}

/// The guest's half: no driver, but a shell that reaches the registers and memory that the kernel leaves
/// alone (mem=, by whole 64 MiB, which it keeps for itself otherwise). Eight times it has the device copy a
/// word of its own to the page that the debugger writes to.
constexpr const char* kDriveEdu =
    "for d in /sys/bus/pci/devices/*; do [ $(cat $d/device) = 0x11e8 ] && break; done\n"
    "set -e\necho 1 >$d/enable\nprintf '\\006' | dd of=$d/config bs=1 seek=4 conv=notrunc 2>/dev/null\n"
    "read bar rest <$d/resource\nreg() { devmem $((bar + $1)) 32 $2; }\n"
    "dma() { reg 0x80 $1; reg 0x88 $2; reg 0x90 64; reg 0x98 $3; while [ $(($(reg 0x98) & 1)) = 1 ]; do :; "
    "done; }\n"
    "for i in 1 2 3 4 5 6 7 8; do\ndevmem 0xd000000 32 $i; dma 0xd000000 0x40000 1; dma 0x40000 0xd100000 3\n"
    "[ $(($(devmem 0xd100000))) = $i ] || echo device wrote $(devmem 0xd100000) and not $i\ndone\n"
    "echo beside it $(devmem 0xd100800)\n";

TEST_F(VfioLinux, ItsDeviceAndADebuggerWriteToOnePage) {
  const auto edu = test::bound_edu();
  if (!edu) GTEST_SKIP() << "no edu device of QEMU's is bound to vfio-pci here (./dev test -L vfio)";
  vmm::MachineConfig config;
  config.boot.kernel = (folder_ / "vmlinuz").string();
  config.boot.initrd = (folder_ / "initramfs.cpio.gz").string();
  config.boot.cmdline =
      "console=ttyS0 quiet panic=-1 mem=192M iomem=relaxed uvmm.exec=base64:" + base64(kDriveEdu);
  config.vfio = {*edu};
  testing::internal::CaptureStdout();
  auto machine = vmm::Machine::create(config);
  ASSERT_TRUE(machine) << machine.error().text();
  uvm::Space& space = (*machine)->space();
  EXPECT_GT(space.pin_statistics().bytes, config.memory / 2);
  std::atomic<bool> done{false};
  std::uint32_t written = 0;
  std::thread debugger([&] {
    while (!done) {
      ++written;
      EXPECT_TRUE(uvm::Access::write(space, uvm::Gpa(0xd10'0800), std::as_bytes(std::span(&written, 1)),
                                     uvm::kDebuggerShared));
      space.drop_translations();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  const auto report = (*machine)->run();
  done = true;
  debugger.join();
  const std::string output = testing::internal::GetCapturedStdout();
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_THAT(output, HasSubstr("uvmm-guest: end 0"));
  EXPECT_THAT(output, Not(HasSubstr("device wrote"))) << output;
  EXPECT_THAT(output, HasSubstr("beside it 0x")) << output;
  const auto word = [&space](std::uint64_t gpa) {
    return uvm::Access::read_value<std::uint32_t>(space, uvm::Gpa(gpa)).value();
  };
  EXPECT_EQ(word(0xd10'0000), 8u) << output;
  EXPECT_EQ(word(0xd10'0800), written);
}

}  // namespace linux_test

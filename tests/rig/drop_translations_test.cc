// Property P0 on a stock kernel: every translation of the guest is dropped again and again while Linux boots,
// and Linux cannot tell. RAM, kernel and initrd are all mapped differently, so each kind of mapping is
// dropped and brought back.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "tests/support/places.h"
#include "vmm/kvm/probe.h"
#include "vmm/machine/machine.h"

namespace drop_translations_test {

using test::asset;

class LinuxDropTranslations : public testing::TestWithParam<vmm::MemoryBacking> {};

TEST_P(LinuxDropTranslations, BootsAndPowersOff) {
  const auto verdict = vmm::kvm::can_boot_linux();
  if (!verdict.possible) GTEST_SKIP() << verdict.reason;
  vmm::MachineConfig config;
  config.boot.kernel = asset("vmlinuz");
  config.boot.initrd = asset("initramfs.cpio.gz");
  config.boot.cmdline = "console=ttyS0 quiet panic=-1 uvmm.poweroff";
  config.console = vmm::ConsoleMode::None;
  config.backing = GetParam();
  config.vcpus = 2;
  auto machine = vmm::Machine::create(config);
  ASSERT_TRUE(machine) << machine.error().text();

  std::atomic<bool> done{false};
  int drops = 0;
  std::thread dropper([&] {
    while (!done) {
      (*machine)->space().drop_translations();
      ++drops;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  });
  const auto report = (*machine)->run();
  done = true;
  dropper.join();
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(report->status, 0) << report->summary;
  EXPECT_TRUE(report->summary.empty()) << report->summary;
  EXPECT_GT(drops, 10);
}

INSTANTIATE_TEST_SUITE_P(Backings, LinuxDropTranslations,
                         testing::Values(vmm::MemoryBacking::Anonymous, vmm::MemoryBacking::Shared),
                         [](const auto& backing) {
                           return backing.param == vmm::MemoryBacking::Shared ? "Shared" : "Anonymous";
                         });

}  // namespace drop_translations_test

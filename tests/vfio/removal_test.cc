// A device that the host takes back while a guest has it.
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>

#include "tests/support/kvm_machine.h"
#include "tests/vfio/edu.h"
#include "vmm/machine/machine.h"

namespace removal_test {

void write_to(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  EXPECT_TRUE(file) << path;
}

TEST(VfioRemoval, EndsThePinsAndNotTheGuest) {
  UVMM_REQUIRE_EDU();
  UVMM_REQUIRE_KVM();
  auto config = test::builtin_config("idle");
  config.vfio = {*test::bound_edu()};
  const std::string address = to_string(std::get<vmm::vfio::PciAddress>(config.vfio.front().device));
  const std::string device = "/sys/bus/pci/devices/" + address;
  auto machine = vmm::Machine::create(config);
  ASSERT_TRUE(machine) << machine.error().text();
  uvm::Space& space = (*machine)->space();
  EXPECT_GT(space.pin_statistics().bytes, 0u);
  uvm::Result<vmm::RunReport> report = vmm::RunReport{};
  std::thread running([&] { report = (*machine)->run(); });
  // Returns when nobody holds the device any more.
  write_to(device + "/remove", "1");
  EXPECT_FALSE(std::filesystem::exists(device));
  while (space.pin_statistics().pins != 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  (*machine)->stop();
  running.join();
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(report->status, 0);
  // For whoever comes next.
  write_to("/sys/bus/pci/rescan", "1");
  write_to(device + "/driver_override", "vfio-pci");
  write_to("/sys/bus/pci/drivers_probe", address);
  EXPECT_TRUE(test::bound_edu());
}

}  // namespace removal_test

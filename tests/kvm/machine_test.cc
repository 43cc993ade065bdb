// Whole machines on this host's KVM, with the built-in guests.
#include "vmm/machine/machine.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "tests/support/kvm_machine.h"
#include "uvm/access.h"

namespace vmm {
namespace machine_test {

using test::builtin_config;
using test::run_machine;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

std::string backing_name(MemoryBacking backing) {
  switch (backing) {
    case MemoryBacking::Auto:
      return "Auto";
    case MemoryBacking::Anonymous:
      return "Anonymous";
    case MemoryBacking::Shared:
      return "Shared";
  }
  return "?";
}

class MachineOnEachBacking : public testing::TestWithParam<MemoryBacking> {
 protected:
  void SetUp() override { UVMM_REQUIRE_KVM(); }
  MachineConfig config(const std::string& builtin, const std::string& arguments = "") const {
    auto config = builtin_config(builtin, arguments);
    config.backing = GetParam();
    return config;
  }
};

TEST_P(MachineOnEachBacking, RealModeGuestEndsWithItsOwnStatus) {
  const auto report = run_machine(config("hello16"));
  EXPECT_EQ(report.status, 0) << report.summary;
}

TEST_P(MachineOnEachBacking, LongModeGuestEndsWithItsOwnStatus) {
  const auto report = run_machine(config("hello"));
  EXPECT_EQ(report.status, 0) << report.summary;
}

TEST_P(MachineOnEachBacking, EveryByteOfRamHoldsWhatWasWritten) {
  for (const char* page : {"page=4k", "page=2m"}) {
    const auto report = run_machine(config("memwalk", std::string("passes=2 mode=verify ") + page));
    EXPECT_EQ(report.status, 0) << page << ": " << report.summary;
  }
}

TEST_P(MachineOnEachBacking, FourVcpusAgreeOnTheSamePages) {
  auto four = config("smp_hammer");
  four.vcpus = 4;
  const auto report = run_machine(four);
  EXPECT_EQ(report.status, 0) << report.summary;
}

INSTANTIATE_TEST_SUITE_P(Backings, MachineOnEachBacking,
                         testing::Values(MemoryBacking::Auto, MemoryBacking::Anonymous,
                                         MemoryBacking::Shared),
                         [](const auto& backing) { return backing_name(backing.param); });

TEST(Machine, WorksWithTheFullInterruptControllersToo) {
  UVMM_REQUIRE_KVM();
  auto config = builtin_config("smp_hammer");
  config.vcpus = 2;
  config.irqchip = IrqChip::Full;
  const auto report = run_machine(config);
  EXPECT_EQ(report.status, 0) << report.summary;
}

TEST(Machine, PowerOffAndResetEndWell) {
  UVMM_REQUIRE_KVM();
  for (const char* name : {"poweroff", "reset"}) {
    const auto report = run_machine(builtin_config(name));
    EXPECT_EQ(report.status, 0) << name << ": " << report.summary;
  }
}

TEST(Machine, ATripleFaultIsToldApartAndPlaced) {
  UVMM_REQUIRE_KVM();
  const auto report = run_machine(builtin_config("triple"));
  EXPECT_EQ(report.status, static_cast<int>(ExitStatus::TripleFault));
  EXPECT_NE(report.summary.find("triple fault on vCPU 0 at rip 0x"), std::string::npos) << report.summary;
}

TEST(Machine, AGuestThatExecutesRubbishEndsOnlyItself) {
  UVMM_REQUIRE_KVM();
  const auto report = run_machine(builtin_config("rubbish"));
  // A triple fault where the processor runs it; KVM's emulator may give up on the instruction instead.
  EXPECT_TRUE(report.status == static_cast<int>(ExitStatus::TripleFault) ||
              report.status == static_cast<int>(ExitStatus::Internal))
      << report.status << " " << report.summary;
  EXPECT_FALSE(report.summary.empty());
}

TEST(Machine, AGuestThatWritesEverywhereHurtsOnlyItself) {
  UVMM_REQUIRE_KVM();
  const auto report = run_machine(builtin_config("wild"));
  EXPECT_EQ(report.status, 0) << report.summary;
}

TEST(Machine, AFloodedSerialPortIsNoObstacle) {
  UVMM_REQUIRE_KVM();
  const auto report = run_machine(builtin_config("flood", "bytes=2000"));
  EXPECT_EQ(report.status, 0) << report.summary;
}

TEST(Machine, StopEndsAGuestThatNeverEnds) {
  UVMM_REQUIRE_KVM();
  for (const char* name : {"spin", "idle"}) {
    auto machine = Machine::create(builtin_config(name));
    ASSERT_TRUE(machine) << machine.error().text();
    std::thread stopper([&machine] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      (*machine)->stop();
    });
    const auto report = (*machine)->run();
    stopper.join();
    ASSERT_TRUE(report) << report.error().text();
    EXPECT_EQ(report->status, 0) << name << ": " << report->summary;
  }
}

TEST(Machine, AHugeGuestCostsNothingUntilItIsTouched) {
  UVMM_REQUIRE_KVM();
  auto config = builtin_config("spin");
  config.memory = 64 * kGiB;
  auto machine = Machine::create(config);
  ASSERT_TRUE(machine) << machine.error().text();
  EXPECT_LE((*machine)->space().metadata_bytes(), kMiB);
  std::uint64_t resident = 0;
  for (const auto& entry : (*machine)->space().entries()) {
    resident += (*machine)->space().residency(entry.range).resident;
  }
  EXPECT_LE(resident, 32 * kMiB);
}

/// Property P0: all translations are dropped again and again while the guest works on its RAM; the guest
/// checks every byte and cannot tell.
class DropTranslations : public testing::TestWithParam<MemoryBacking> {};

RunReport run_while_dropping(const MachineConfig& config, std::uint64_t& drops) {
  auto machine = Machine::create(config);
  if (!machine) return {-1, machine.error().text()};
  std::atomic<bool> done{false};
  std::thread dropper([&] {
    while (!done) {
      (*machine)->space().drop_translations();
      ++drops;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  });
  const auto report = (*machine)->run();
  done = true;
  dropper.join();
  return report ? *report : RunReport{-1, report.error().text()};
}

TEST_P(DropTranslations, LosesNoByteOfOneVcpu) {
  UVMM_REQUIRE_KVM();
  auto config = builtin_config("memwalk", "passes=4 mode=verify page=4k");
  config.backing = GetParam();
  std::uint64_t drops = 0;
  const auto report = run_while_dropping(config, drops);
  EXPECT_EQ(report.status, 0) << report.summary;
  EXPECT_GT(drops, 1U);
}

TEST_P(DropTranslations, LosesNoCountOfFourVcpus) {
  UVMM_REQUIRE_KVM();
  auto config = builtin_config("smp_hammer");
  config.vcpus = 4;
  config.backing = GetParam();
  std::uint64_t drops = 0;
  const auto report = run_while_dropping(config, drops);
  EXPECT_EQ(report.status, 0) << report.summary;
  EXPECT_GT(drops, 1U);
}

INSTANTIATE_TEST_SUITE_P(Backings, DropTranslations,
                         testing::Values(MemoryBacking::Anonymous, MemoryBacking::Shared),
                         [](const auto& backing) { return backing_name(backing.param); });

}  // namespace machine_test
}  // namespace vmm

// Checkpoints of running machines: brought back again and again, the guest always comes to the right end.
#include "vmm/machine/checkpoints.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/kvm_machine.h"
#include "tests/support/running_machine.h"
#include "uvm/access.h"
#include "uvm/pin.h"

namespace vmm {
namespace checkpoint_test {

using test::builtin_config;
using test::RunningMachine;
using ::testing::HasSubstr;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

struct Shape {
  const char* guest;
  const char* arguments;
  std::uint32_t vcpus;
  MemoryBacking backing;
};

std::string name_of(const testing::TestParamInfo<Shape>& info) {
  static constexpr std::array<const char*, 3> kBackings{"Auto", "Anonymous", "Shared"};
  return std::string(info.param.guest) + std::to_string(info.param.vcpus) +
         kBackings.at(static_cast<std::size_t>(info.param.backing));
}

class CheckpointOf : public testing::TestWithParam<Shape> {
 protected:
  void SetUp() override { UVMM_REQUIRE_KVM(); }
  static MachineConfig config() {
    auto config = builtin_config(GetParam().guest, GetParam().arguments);
    config.memory = 16 * kMiB;
    config.vcpus = GetParam().vcpus;
    config.backing = GetParam().backing;
    return config;
  }
};

/// All of RAM, while the machine is paused.
std::vector<std::byte> memory_of(Machine& machine) {
  std::vector<std::byte> bytes(16 * kMiB);
  EXPECT_TRUE(uvm::Access::read(machine.space(), uvm::Gpa(0), bytes, uvm::kDebugger));
  return bytes;
}

TEST_P(CheckpointOf, EveryByteComesBackAndTheGuestEndsWell) {
  RunningMachine machine(config());
  ASSERT_TRUE(machine.wait_for_work());
  machine->pause();
  const auto taken = machine->checkpoints().take("");
  ASSERT_TRUE(taken) << taken.error().text();
  const auto then = memory_of(*machine);
  for (int round = 0; round < 3; ++round) {
    machine->resume();
    ASSERT_TRUE(machine.wait_for_work());
    machine->pause();
    EXPECT_NE(memory_of(*machine), then) << "round " << round;
    const auto reset = machine->checkpoints().reset("");
    ASSERT_TRUE(reset) << reset.error().text();
    EXPECT_EQ(memory_of(*machine), then) << "round " << round;
  }
  machine->resume();
  EXPECT_EQ(machine.end().status, 0);
}

TEST_P(CheckpointOf, LaterOnesDoNotDisturbEarlierOnes) {
  RunningMachine machine(config());
  std::vector<std::vector<std::byte>> moments;
  for (const char* name : {"a", "b", "c"}) {
    ASSERT_TRUE(machine.wait_for_work());
    machine->pause();
    ASSERT_TRUE(machine->checkpoints().take(name));
    moments.push_back(memory_of(*machine));
    machine->resume();
  }
  ASSERT_TRUE(machine.wait_for_work());
  machine->pause();
  for (const std::size_t which : {1U, 0U, 2U, 0U}) {
    const std::string name(1, static_cast<char>('a' + which));
    ASSERT_TRUE(machine->checkpoints().reset(name));
    EXPECT_EQ(memory_of(*machine), moments[which]) << name;
  }
  machine->resume();
  EXPECT_EQ(machine.end().status, 0);
}

TEST_P(CheckpointOf, AnotherMachineGoesOnFromTheImage) {
  RunningMachine machine(config());
  ASSERT_TRUE(machine.wait_for_work());
  const auto image = machine->take_image();
  ASSERT_TRUE(image) << image.error().text();
  for (int child = 0; child < 2; ++child) {
    auto other = Machine::create_from(config(), *image);
    ASSERT_TRUE(other) << other.error().text();
    RunningMachine running(std::move(*other));
    ASSERT_TRUE(running.wait_for_work());
    // A child of the child.
    const auto second = running->take_image();
    ASSERT_TRUE(second) << second.error().text();
    auto grandchild = Machine::create_from(config(), *second);
    ASSERT_TRUE(grandchild) << grandchild.error().text();
    EXPECT_EQ(RunningMachine(std::move(*grandchild)).end().status, 0);
    EXPECT_EQ(running.end().status, 0);
  }
  EXPECT_EQ(machine.end().status, 0);
}

INSTANTIATE_TEST_SUITE_P(Guests, CheckpointOf,
                         testing::Values(Shape{"memwalk", "passes=100", 1, MemoryBacking::Auto},
                                         Shape{"memwalk", "passes=100", 1, MemoryBacking::Anonymous},
                                         Shape{"memwalk", "passes=100 page=4k", 1, MemoryBacking::Shared},
                                         Shape{"smp_hammer", "rounds=100000", 2, MemoryBacking::Auto},
                                         Shape{"smp_hammer", "rounds=60000", 4, MemoryBacking::Shared}),
                         name_of);

MachineConfig spinning() {
  auto config = builtin_config("spin");
  config.backing = MemoryBacking::Shared;
  return config;
}

TEST(Checkpoint, CostsWhatWasWrittenSince) {
  UVMM_REQUIRE_KVM();
  RunningMachine machine(spinning());
  ASSERT_TRUE(machine.wait_for_work());
  ASSERT_TRUE(machine->checkpoints().take("first"));
  ASSERT_TRUE(machine.wait_for_work());
  ASSERT_TRUE(machine->checkpoints().take("second"));
  const auto all = machine->checkpoints().list();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].copied, 0U);  // frozen, not copied
  EXPECT_GT(all[1].copied, 0U);
  EXPECT_LE(all[1].copied, 64 * uvm::kPageSize);
}

TEST(Checkpoint, OneThatIsNotThereIsNamed) {
  UVMM_REQUIRE_KVM();
  auto machine = Machine::create(spinning());
  ASSERT_TRUE(machine);
  EXPECT_THAT((*machine)->checkpoints().reset("x").error().text(), HasSubstr("there is no checkpoint 'x'"));
  ASSERT_TRUE((*machine)->checkpoints().take("x"));
  ASSERT_TRUE((*machine)->checkpoints().drop("x"));
  EXPECT_FALSE((*machine)->checkpoints().reset("x"));
  EXPECT_FALSE((*machine)->checkpoints().drop("x"));
}

}  // namespace checkpoint_test
}  // namespace vmm

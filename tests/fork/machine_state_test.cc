// A machine's state, taken in the middle of its work and given to another machine, which ends the work.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <string>
#include <vector>

#include "tests/support/kvm_machine.h"
#include "tests/support/running_machine.h"
#include "uvm/access.h"

namespace vmm {
namespace machine_state_test {

using test::builtin_config;
using test::RunningMachine;
using ::testing::HasSubstr;

/// Every page of guest memory of one machine into another.
void copy_memory(Machine& from, Machine& to) {
  std::vector<std::byte> bytes(std::size_t{1} << 20);
  for (const auto& entry : from.space().entries()) {
    if (entry.tenure == uvm::Tenure::None) continue;
    for (std::uint64_t done = 0; done < entry.range.size(); done += bytes.size()) {
      const auto part =
          std::span(bytes).first(std::min<std::uint64_t>(bytes.size(), entry.range.size() - done));
      ASSERT_TRUE(uvm::Access::read(from.space(), entry.range.begin() + done, part));
      ASSERT_TRUE(uvm::Access::write(to.space(), entry.range.begin() + done, part));
    }
  }
}

struct Shape {
  const char* guest;
  const char* arguments;
  std::uint32_t vcpus;
  IrqChip irqchip;
};

class MachineState : public testing::TestWithParam<Shape> {
 protected:
  void SetUp() override { UVMM_REQUIRE_KVM(); }
  static MachineConfig config() {
    auto config = builtin_config(GetParam().guest, GetParam().arguments);
    config.memory = std::uint64_t{16} << 20;
    config.vcpus = GetParam().vcpus;
    config.irqchip = GetParam().irqchip;
    config.entropy = Entropy::Device;  // its transport has state too
    return config;
  }
};

TEST_P(MachineState, GoesOnInAnotherMachineAndInTheFirst) {
  RunningMachine first(config());
  auto second = Machine::create(config());
  ASSERT_TRUE(second) << second.error().text();
  ASSERT_TRUE(first.wait_for_work());
  first->pause();
  const auto state = first->save_state();
  ASSERT_TRUE(state) << state.error().text();
  copy_memory(*first, **second);
  first->resume();

  const auto restored = (*second)->restore_state(*state);
  ASSERT_TRUE(restored) << restored.error().text();
  const auto report = (*second)->run();
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(report->status, 0) << report->summary;
  EXPECT_EQ(first.end().status, 0);
}

TEST_P(MachineState, TakenTwiceWithoutRunningIsTheSameButForTheClocks) {
  RunningMachine machine(config());
  ASSERT_TRUE(machine.wait_for_work());
  machine->pause();
  const auto once = machine->save_state();
  ASSERT_TRUE(once) << once.error().text();
  ASSERT_TRUE(machine->restore_state(*once));
  const auto twice = machine->save_state();
  ASSERT_TRUE(twice) << twice.error().text();
  EXPECT_EQ(once->size(), twice->size());
  machine->resume();
  EXPECT_EQ(machine.end().status, 0);
}

INSTANTIATE_TEST_SUITE_P(Guests, MachineState,
                         testing::Values(Shape{"memwalk", "passes=100", 1, IrqChip::Split},
                                         Shape{"smp_hammer", "rounds=100000", 2, IrqChip::Split},
                                         Shape{"smp_hammer", "rounds=60000", 4, IrqChip::Split},
                                         Shape{"smp_hammer", "rounds=100000", 2, IrqChip::Full}),
                         [](const auto& shape) {
                           return std::string(shape.param.guest) + "_" + std::to_string(shape.param.vcpus) +
                                  (shape.param.irqchip == IrqChip::Full ? "_full" : "");
                         });

TEST(MachineStateRefusals, AMachineOfAnotherShapeDoesNotTakeIt) {
  UVMM_REQUIRE_KVM();
  auto config = builtin_config("idle");
  auto saved = Machine::create(config);
  ASSERT_TRUE(saved) << saved.error().text();
  const auto state = (*saved)->save_state();
  ASSERT_TRUE(state) << state.error().text();

  const auto refusal = [&](const MachineConfig& other) {
    auto machine = Machine::create(other);
    EXPECT_TRUE(machine) << machine.error().text();
    const auto restored = (*machine)->restore_state(*state);
    return restored ? std::string("taken") : restored.error().text();
  };
  EXPECT_EQ(refusal(config), "taken");
  auto smp = config;
  smp.vcpus = 2;
  EXPECT_THAT(refusal(smp), HasSubstr("saved with 1 vCPUs, this machine has 2"));
  auto large = config;
  large.memory *= 2;
  EXPECT_THAT(refusal(large), HasSubstr("bytes of memory"));
  auto full = config;
  full.irqchip = IrqChip::Full;
  EXPECT_THAT(refusal(full), HasSubstr("other interrupt controllers; say --irqchip split"));
}

TEST(MachineStateRefusals, DamageIsRefusedAndNamed) {
  UVMM_REQUIRE_KVM();
  auto machine = Machine::create(builtin_config("idle"));
  ASSERT_TRUE(machine) << machine.error().text();
  const auto state = (*machine)->save_state();
  ASSERT_TRUE(state) << state.error().text();
  auto damaged = *state;
  damaged.back() ^= std::byte{1};
  const auto restored = (*machine)->restore_state(damaged);
  ASSERT_FALSE(restored);
  EXPECT_THAT(restored.error().text(), HasSubstr("is damaged"));
  EXPECT_FALSE((*machine)->restore_state({}));
  EXPECT_FALSE((*machine)->restore_state(std::span(*state).first(state->size() / 2)));
}

}  // namespace machine_state_test
}  // namespace vmm

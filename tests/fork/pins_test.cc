// What is pinned at the moment of a copy: its owner keeps frames and sees the guest, the copy gets copies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>

#include "tests/support/kvm_machine.h"
#include "tests/support/running_machine.h"
#include "uvm/access.h"
#include "uvm/pin.h"
#include "vmm/machine/checkpoints.h"
#include "vmm/machine/machine_image.h"

namespace vmm {
namespace pins_test {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr uvm::Gpa kBuffer{0x80'0000};
constexpr std::uint64_t kBytes = 64 * uvm::kPageSize;

uvm::GpaRange buffer() {
  return *uvm::GpaRange::from_size(kBuffer, kBytes);
}

MachineConfig config(MemoryBacking backing) {
  auto config = test::builtin_config("spin");
  config.backing = backing;
  return config;
}

uvm::Pin pinned(Machine& machine, uvm::ForkPolicy policy) {
  auto pin = uvm::Pin::create(machine.space(), buffer(), uvm::PinAccess::Write, uvm::PinOwner::create("dev0"),
                              policy);
  EXPECT_TRUE(pin) << pin.error().text();
  return *std::move(pin);
}

/// What the guest, or a processor of ours, finds in the last page of the buffer.
std::uint64_t seen_by(Machine& machine) {
  const auto value =
      uvm::Access::read_value<std::uint64_t>(machine.space(), kBuffer + (kBytes - uvm::kPageSize));
  EXPECT_TRUE(value) << value.error().text();
  return value ? *value : 0;
}
/// The device's write.
void dma(const uvm::Pin& pin, std::uint64_t value) {
  std::memcpy(pin.bytes().subspan(kBytes - uvm::kPageSize).data(), &value, sizeof value);
}

class ForkPins : public testing::TestWithParam<MemoryBacking> {
 protected:
  void SetUp() override { UVMM_REQUIRE_KVM(); }
};

/// `before`: images that were taken before the pin was.
void expect_coherent(MemoryBacking backing, int before) {
  test::RunningMachine parent(config(backing));
  ASSERT_TRUE(parent.wait_for_work());
  for (int i = 0; i < before; ++i) ASSERT_TRUE(parent->take_image());
  const uvm::Pin pin = pinned(*parent, uvm::ForkPolicy::Copy);
  const uvm::Frame frame = pin.frame_at(kBuffer);
  dma(pin, 11);
  ASSERT_EQ(seen_by(*parent), 11U);

  const auto image = parent->take_image();
  ASSERT_TRUE(image) << image.error().text();
  auto made = Machine::create_from(config(backing), *image);
  ASSERT_TRUE(made) << made.error().text();
  test::RunningMachine child(std::move(*made));
  dma(pin, 22);
  EXPECT_EQ(seen_by(*parent), 22U) << "the owner lost the guest";
  EXPECT_EQ(seen_by(*child), 11U) << "the device writes into the copy";
  ASSERT_TRUE(
      uvm::Access::write_value(child->space(), kBuffer + (kBytes - uvm::kPageSize), std::uint64_t{33}));
  EXPECT_EQ(seen_by(*parent), 22U);
  ASSERT_TRUE(
      uvm::Access::write_value(parent->space(), kBuffer + (kBytes - uvm::kPageSize), std::uint64_t{44}));
  std::uint64_t read = 0;
  std::memcpy(&read, pin.bytes().subspan(kBytes - uvm::kPageSize).data(), sizeof read);
  EXPECT_EQ(read, 44U) << "the device does not see the guest";
  EXPECT_EQ(pin.frame_at(kBuffer), frame);
  EXPECT_EQ(seen_by(*child), 33U);

  // A reset brings the bytes back where they are.
  ASSERT_TRUE(parent->checkpoints().take(""));
  dma(pin, 55);
  ASSERT_TRUE(parent->checkpoints().reset(""));
  std::memcpy(&read, pin.bytes().subspan(kBytes - uvm::kPageSize).data(), sizeof read);
  EXPECT_EQ(read, 44U);
  EXPECT_EQ(seen_by(*parent), 44U);
}

TEST_P(ForkPins, TakenBeforeTheFirstFork) {
  expect_coherent(GetParam(), 0);
}

TEST_P(ForkPins, TakenAfterOne) {
  expect_coherent(GetParam(), 1);
}

TEST_P(ForkPins, WhatForbidsCopiesIsNamed) {
  test::RunningMachine machine(config(GetParam()));
  for (const auto policy : {uvm::ForkPolicy::Refuse, uvm::ForkPolicy::Quiesce}) {
    const uvm::Pin pin = pinned(*machine, policy);
    const auto image = machine->take_image();
    ASSERT_FALSE(image);
    EXPECT_EQ(image.error().kind(), uvm::ErrorKind::Pinned);
    EXPECT_THAT(image.error().text(), AllOf(HasSubstr("0x800000+0x40000"), HasSubstr("dev0")));
    EXPECT_FALSE(machine->checkpoints().take(""));
  }
  EXPECT_TRUE(machine->take_image());
}

INSTANTIATE_TEST_SUITE_P(Backings, ForkPins, testing::Values(MemoryBacking::Anonymous, MemoryBacking::Shared),
                         [](const auto& backing) {
                           return std::string(backing.param == MemoryBacking::Shared ? "Shared"
                                                                                     : "Anonymous");
                         });

}  // namespace pins_test
}  // namespace vmm

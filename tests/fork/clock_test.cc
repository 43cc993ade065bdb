// What the time since a machine was saved is to the copy: nothing, or time like other time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <optional>
#include <thread>
#include <vector>

#include "tests/support/kvm_machine.h"
#include "vmm/machine/machine_image.h"
#include "vmm/snapshot/section_file.h"

namespace vmm {
namespace clock_test {

using ::testing::HasSubstr;

constexpr std::uint64_t kPauseNs = 3'000'000'000;

/// The eight bytes at `offset` of a section.
std::uint64_t number_in(const std::vector<std::byte>& state, const char* section, std::size_t offset) {
  const auto table = snapshot::SectionTable::read(state);
  EXPECT_TRUE(table);
  const auto found = table->find(section, 0, 2);
  EXPECT_TRUE(found) << section;
  std::uint64_t number = 0;
  std::memcpy(&number, found->content.subspan(offset, sizeof(number)).data(), sizeof(number));
  return number;
}
std::uint64_t kvmclock_in(const std::vector<std::byte>& state) {
  return number_in(state, "kvmclock", 0);
}
std::uint64_t pm_timer_in(const std::vector<std::byte>& state) {
  return number_in(state, "acpi-pm", 6);  // behind status, enable and control
}

/// `state` without what version 2 of the clock's section added.
std::vector<std::byte> as_saved_before(const std::vector<std::byte>& state) {
  snapshot::SectionWriter older;
  const auto table = snapshot::SectionTable::read(state);
  for (snapshot::Section section : table->all()) {
    if (section.name == "kvmclock") {
      section.version = 1;
      section.content = section.content.first(sizeof(std::uint64_t));
    }
    older.add(section);
  }
  return std::move(older).finish();
}

class ClockOfACopy : public testing::Test {
 protected:
  void SetUp() override {
    UVMM_REQUIRE_KVM();
    const auto machine = Machine::create(config_);
    ASSERT_TRUE(machine) << machine.error().text();
    auto image = (*machine)->take_image();
    ASSERT_TRUE(image) << image.error().text();
    image_ = *std::move(image);
  }
  std::vector<std::byte> state_of_copy(ClockPolicy policy) {
    config_.clock = policy;
    const auto copy = Machine::create_from(config_, *image_);
    EXPECT_TRUE(copy) << copy.error().text();
    return (*copy)->save_state().value();
  }

  MachineConfig config_ = test::builtin_config("idle");
  std::optional<MachineImage> image_;
};

TEST_F(ClockOfACopy, GoesOnOrHasGoneOnWithTheHosts) {
  std::this_thread::sleep_for(std::chrono::nanoseconds(kPauseNs));
  const auto host = state_of_copy(ClockPolicy::Host);
  EXPECT_GE(kvmclock_in(host) - kvmclock_in(image_->state), kPauseNs);
  EXPECT_GE(pm_timer_in(host) - pm_timer_in(image_->state), kPauseNs);
  // Slow as this host may be, it makes a machine in less time than that.
  const auto on = state_of_copy(ClockPolicy::Continue);
  EXPECT_LT(kvmclock_in(on) - kvmclock_in(image_->state), kPauseNs);
  EXPECT_LT(pm_timer_in(on) - pm_timer_in(image_->state), kPauseNs);
}

TEST_F(ClockOfACopy, AStateThatDoesNotSayWhenItWasSavedOnlyGoesOn) {
  image_->state = as_saved_before(image_->state);
  static_cast<void>(state_of_copy(ClockPolicy::Continue));
  config_.clock = ClockPolicy::Host;
  const auto copy = Machine::create_from(config_, *image_);
  ASSERT_FALSE(copy);
  EXPECT_THAT(copy.error().text(), HasSubstr("it does not say when it was saved"));
}

}  // namespace clock_test
}  // namespace vmm

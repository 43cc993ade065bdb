// The generation id of machines that are copies of another, or have gone back: fresh in each, in guest memory
// and in the machine's state.
#include "vmm/devices/generation_id.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <vector>

#include "tests/support/kvm_machine.h"
#include "tests/vmm/devices/fakes.h"
#include "uvm/access.h"
#include "vmm/machine/checkpoints.h"
#include "vmm/machine/machine_image.h"
#include "vmm/snapshot/section_fields.h"

namespace vmm {
namespace generation_id_test {

using devices::GenerationId;

/// A machine with firmware tables, which built-in guests have none of, and a kernel that only halts.
class GenerationIdOf : public testing::Test {
 protected:
  void SetUp() override {
    UVMM_REQUIRE_KVM();
    kernel_ = std::filesystem::temp_directory_path() / ("uvmm-generation-id-" + std::to_string(::getpid()));
    std::ofstream(kernel_, std::ios::binary) << "\xfa\xf4\xeb\xfc";  // cli; again: hlt; jmp again
    config_.boot.kernel = kernel_.string();
    config_.boot.format = "flat-real";
    config_.memory = std::uint64_t{16} << 20;
    config_.console = ConsoleMode::None;
    auto machine = Machine::create(config_);
    ASSERT_TRUE(machine) << machine.error().text();
    machine_ = *std::move(machine);
  }
  void TearDown() override {
    if (!kernel_.empty()) std::filesystem::remove(kernel_);
  }

  /// What the state says, after a look at what the guest would find.
  static GenerationId::Bytes id_of(Machine& machine) {
    const auto state = machine.save_state();
    EXPECT_TRUE(state) << state.error().text();
    const auto table = snapshot::SectionTable::read(*state);
    devices::test::FakeLine line;
    GenerationId saved(line);
    EXPECT_TRUE(table && snapshot::restore(*table, saved));
    EXPECT_TRUE(saved.place().has_value());
    GenerationId::Bytes found{};
    EXPECT_TRUE(uvm::Access::read(machine.space(), saved.place().value_or(uvm::Gpa(0)), found));
    EXPECT_EQ(found, saved.bytes());
    return found;
  }
  static void expect_all_differ(std::vector<GenerationId::Bytes> ids) {
    ids.emplace_back();  // zeros are nobody's
    std::ranges::sort(ids);
    EXPECT_EQ(std::ranges::adjacent_find(ids), ids.end());
  }

  std::filesystem::path kernel_;
  MachineConfig config_;
  std::unique_ptr<Machine> machine_;
};

TEST_F(GenerationIdOf, AnImageIsAnotherInEachMachineMadeOfIt) {
  const auto before = id_of(*machine_);
  const auto image = machine_->take_image();
  ASSERT_TRUE(image) << image.error().text();
  std::vector<GenerationId::Bytes> ids{before};
  for (int i = 0; i < 2; ++i) {
    const auto copy = Machine::create_from(config_, *image);
    ASSERT_TRUE(copy) << copy.error().text();
    ids.push_back(id_of(**copy));
  }
  expect_all_differ(ids);
  EXPECT_EQ(id_of(*machine_), before);
}

TEST_F(GenerationIdOf, ACheckpointIsAnotherAfterEachReset) {
  std::vector<GenerationId::Bytes> ids{id_of(*machine_)};
  ASSERT_TRUE(machine_->checkpoints().take(""));
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(machine_->checkpoints().reset(""));
    ids.push_back(id_of(*machine_));
  }
  expect_all_differ(ids);
}

TEST_F(GenerationIdOf, AnotherBootIsAnother) {
  const auto again = Machine::create(config_);
  ASSERT_TRUE(again) << again.error().text();
  expect_all_differ({id_of(*machine_), id_of(**again)});
}

TEST_F(GenerationIdOf, AStateFromBeforeThereWasOneIsTaken) {
  auto image = machine_->take_image();
  ASSERT_TRUE(image) << image.error().text();
  const auto table = snapshot::SectionTable::read(image->state);
  ASSERT_TRUE(table);
  snapshot::SectionWriter older;
  for (const snapshot::Section& section : table->all()) {
    if (section.name != "generation-id") older.add(section);
  }
  image->state = std::move(older).finish();
  const auto copy = Machine::create_from(config_, *image);
  EXPECT_TRUE(copy) << copy.error().text();
}

TEST(GenerationIdOfBuiltins, ThereIsNone) {
  UVMM_REQUIRE_KVM();
  const auto machine = Machine::create(test::builtin_config("idle"));
  ASSERT_TRUE(machine) << machine.error().text();
  const auto state = (*machine)->save_state();
  ASSERT_TRUE(state) << state.error().text();
  const auto table = snapshot::SectionTable::read(*state);
  devices::test::FakeLine line;
  GenerationId saved(line);
  ASSERT_TRUE(table && snapshot::restore(*table, saved));
  EXPECT_FALSE(saved.place().has_value());
}

}  // namespace generation_id_test
}  // namespace vmm

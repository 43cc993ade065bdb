// A snapshot whose memory is damaged where nobody has looked before the machine goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/kvm_machine.h"
#include "tests/support/running_machine.h"
#include "tests/support/temp_folder.h"
#include "vmm/machine/machine_image.h"
#include "vmm/snapshot/snapshot_files.h"

namespace vmm {
namespace damaged_memory_test {

using ::testing::HasSubstr;

TEST(DamagedMemory, EndsTheMachineAndIsNotHandedOn) {
  UVMM_REQUIRE_KVM();
  auto config = test::builtin_config("memwalk", "passes=1000000");
  config.memory = std::uint64_t{32} << 20;
  const ::test::TempFolder folder("damaged-memory");
  const std::string directory = folder.file("snapshot");
  {
    test::RunningMachine first(config);
    ASSERT_TRUE(first.wait_for_work());
    const auto image = first->take_image();
    ASSERT_TRUE(image) << image.error().text();
    ASSERT_TRUE(snapshot::write_snapshot(directory, image->state, image->memory));
    first->stop();
    static_cast<void>(first.end());
  }
  ::test::flip(directory + "/memory-1", std::uint64_t{28} << 20);
  auto saved = snapshot::read_snapshot(directory, snapshot::Verify::Begin);
  ASSERT_TRUE(saved) << saved.error().text();
  const auto machine =
      Machine::create_from(config, {std::move(saved->description), std::move(saved->memory), {}, {}});
  ASSERT_TRUE(machine) << machine.error().text();
  const auto refused = (*machine)->take_image();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("memory-1 is damaged at byte 29360128"));
  const auto report = (*machine)->run();
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(report->status, 2);
  EXPECT_THAT(report->summary, HasSubstr("memory-1 is damaged at byte 29360128"));
}

}  // namespace damaged_memory_test
}  // namespace vmm

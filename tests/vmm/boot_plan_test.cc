#include "vmm/machine/boot_plan.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "guest/programs/builtin_info.h"
#include "guest/programs/programs.h"
#include "vmm/machine/layout.h"

namespace vmm {
namespace boot_plan_test {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

MachineConfig builtin(const std::string& name, const std::string& arguments = "") {
  MachineConfig config;
  config.memory = 64 * kMiB;
  config.boot.builtin = name;
  config.boot.builtin_arguments = arguments;
  return config;
}

guest::MemoryLayout memory_of(const MachineConfig& config) {
  auto memory = plan_memory(config, 48);
  EXPECT_TRUE(memory) << memory.error().text();
  return memory ? *memory : guest::MemoryLayout();
}

std::string error_of(const MachineConfig& config) {
  const auto plan = plan_boot(config, memory_of(config), IrqChip::Split);
  return plan ? "no error" : plan.error().text();
}

class TempFile {
 public:
  explicit TempFile(const std::string& contents)
      : path_(std::filesystem::temp_directory_path() / ("uvmm-boot-plan-" + std::to_string(::getpid()))) {
    std::ofstream(path_, std::ios::binary) << contents;
  }
  ~TempFile() { std::filesystem::remove(path_); }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

TEST(PlanMemory, RamStopsAtTheHoleAndGoesOnAtFourGigabytes) {
  auto config = builtin("hello");
  config.memory = 5 * layout::kGiB;
  const auto memory = memory_of(config);
  ASSERT_EQ(memory.ram.size(), 2U);
  EXPECT_EQ(memory.ram[0].end(), layout::kMmioHole);
  EXPECT_EQ(memory.ram[1].begin(), layout::kMmioHoleEnd);
  EXPECT_EQ(memory.ram_bytes(), config.memory);
}

TEST(PlanMemory, MoreThanTheAddressWidthIsRefused) {
  auto config = builtin("hello");
  config.memory = std::uint64_t{1} << 40;
  const auto memory = plan_memory(config, 39);
  ASSERT_FALSE(memory);
  EXPECT_EQ(memory.error().text().find('\n'), std::string::npos);
}

TEST(PlanMemory, MoreThanOneSlotCanHoldIsRefused) {
  auto config = builtin("hello");
  config.memory = std::uint64_t{60} << 40;
  const auto memory = plan_memory(config, 48);
  ASSERT_FALSE(memory);
  EXPECT_NE(memory.error().text().find("60 TiB"), std::string::npos) << memory.error().text();
  config.memory = std::uint64_t{8} << 40;
  EXPECT_TRUE(plan_memory(config, 48));
}

TEST(PlanBoot, AnUnknownBuiltinNamesTheOnesThereAre) {
  const std::string error = error_of(builtin("helo"));
  EXPECT_NE(error.find("'helo'"), std::string::npos) << error;
  EXPECT_NE(error.find("hello"), std::string::npos) << error;
  EXPECT_NE(error.find("memwalk"), std::string::npos) << error;
}

TEST(PlanBoot, ABuiltinsImageIsInThePlanAndItsInfoIsWhereRdiPoints) {
  const auto config = builtin("memwalk", "passes=3");
  const auto plan = plan_boot(config, memory_of(config), IrqChip::Split);
  ASSERT_TRUE(plan) << plan.error().text();
  const guest::Segment* info = nullptr;
  for (const auto& segment : plan->load.segments) {
    EXPECT_NE(segment.source, guest::Segment::Source::FromKernel) << segment.name;
    if (segment.gpa.value() == plan->load.entry.rdi) info = &segment;
  }
  ASSERT_NE(info, nullptr);
  guest::programs::BuiltinInfo read{};
  ASSERT_EQ(info->bytes.size(), sizeof(read));
  std::memcpy(&read, info->bytes.data(), sizeof(read));
  EXPECT_EQ(read.magic, guest::programs::BuiltinInfo::kMagic);
  EXPECT_STREQ(read.arguments, "passes=3");
  EXPECT_EQ(read.ranges, 1U);
  EXPECT_EQ(read.ram[0].size, config.memory);
}

TEST(PlanBoot, ArgumentsThatDoNotFitAreRefused) {
  const std::string error = error_of(builtin("memwalk", std::string(600, 'x')));
  EXPECT_NE(error.find("600"), std::string::npos) << error;
  EXPECT_NE(error.find("511"), std::string::npos) << error;
}

TEST(PlanBoot, AMissingKernelIsNamed) {
  MachineConfig config;
  config.boot.kernel = "/nonexistent/kernel";
  const std::string error = error_of(config);
  EXPECT_NE(error.find("/nonexistent/kernel"), std::string::npos) << error;
  EXPECT_NE(error.find("No such file"), std::string::npos) << error;
}

TEST(PlanBoot, AKernelIsToldOfItsGenerationIdAndABuiltInGuestIsNot) {
  const TempFile file("\xf4");
  MachineConfig config;
  config.boot.kernel = file.path();
  config.boot.format = "flat-real";
  const auto plan = plan_boot(config, memory_of(config), IrqChip::Split);
  ASSERT_TRUE(plan) << plan.error().text();
  ASSERT_TRUE(plan->generation_id.has_value());
  EXPECT_TRUE(std::ranges::any_of(plan->tables, [&](const guest::Segment& table) {
    return table.gpa == *plan->generation_id && table.bytes.size() == 16;
  }));
  const auto program = builtin("hello");
  EXPECT_FALSE(plan_boot(program, memory_of(program), IrqChip::Split)->generation_id.has_value());
}

TEST(PlanBoot, AKernelThatIsNoneIsNamed) {
  const TempFile file("this is no kernel");
  MachineConfig config;
  config.boot.kernel = file.path();
  const std::string error = error_of(config);
  EXPECT_NE(error.find(file.path()), std::string::npos) << error;
  EXPECT_EQ(error.find('\n'), std::string::npos) << error;
}

TEST(PlanBoot, EmptyAndIrregularFilesAreRefused) {
  const TempFile empty("");
  MachineConfig config;
  config.boot.kernel = empty.path();
  EXPECT_NE(error_of(config).find("empty"), std::string::npos) << error_of(config);
  config.boot.kernel = "/tmp";
  EXPECT_NE(error_of(config).find("/tmp"), std::string::npos) << error_of(config);
  config.boot.kernel = "/dev/null";
  EXPECT_NE(error_of(config).find("/dev/null"), std::string::npos) << error_of(config);
}

}  // namespace boot_plan_test
}  // namespace vmm

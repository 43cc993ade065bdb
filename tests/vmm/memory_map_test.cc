#include "vmm/machine/memory_map.h"

#include <gtest/gtest.h>

#include "uvm/access.h"
#include "vmm/machine/guest_memory.h"

namespace vmm {
namespace memory_map_test {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

TEST(HumanBytes, HaveAtMostOneDecimal) {
  EXPECT_EQ(human_bytes(0), "0");
  EXPECT_EQ(human_bytes(1023), "1023");
  EXPECT_EQ(human_bytes(4096), "4K");
  EXPECT_EQ(human_bytes(1536 * 1024), "1.5M");
  EXPECT_EQ(human_bytes(std::uint64_t{64} << 30), "64G");
  EXPECT_EQ(human_bytes(~std::uint64_t{0}), "16383.9P");
}

std::unique_ptr<GuestMemory> memory_of(MemoryBacking backing) {
  GuestMemory::Request request;
  request.name = "test";
  request.ram = {*uvm::GpaRange::from_bounds(uvm::Gpa(0), uvm::Gpa(16 * kMiB))};
  request.backing = backing;
  auto memory = GuestMemory::create(request);
  EXPECT_TRUE(memory) << memory.error().text();
  return memory ? std::move(*memory) : nullptr;
}

TEST(MemoryMap, ShowsWhatWasTouched) {
  const auto memory = memory_of(MemoryBacking::Anonymous);
  ASSERT_NE(memory, nullptr);
  const std::string before = format_memory_map(memory->space());
  EXPECT_NE(before.find("total: 1 mappings of 16M, resident 0 "), std::string::npos) << before;
  ASSERT_TRUE(uvm::Access::write_value(memory->space(), uvm::Gpa(0x5000), std::uint64_t{1}));
  const std::string after = format_memory_map(memory->space());
  EXPECT_EQ(after.find("resident 0 "), std::string::npos) << after;
  EXPECT_NE(after.find("zero-fill"), std::string::npos) << after;
}

TEST(MemoryMap, NamesTheObjectOfSharedMemory) {
  const auto memory = memory_of(MemoryBacking::Shared);
  ASSERT_NE(memory, nullptr);
  const std::string map = format_memory_map(memory->space());
  EXPECT_NE(map.find("shared"), std::string::npos) << map;
  EXPECT_NE(map.find("ram+0x0"), std::string::npos) << map;
}

TEST(GuestMemory, ShowsDevicesWithoutTakingThemForMemory) {
  const auto memory = memory_of(MemoryBacking::Anonymous);
  ASSERT_NE(memory, nullptr);
  const auto timer = *uvm::GpaRange::from_size(uvm::Gpa(0xfec0'0000), 0x1000);
  ASSERT_TRUE(memory->map_device("timer", timer));
  const auto again = memory->map_device("other", timer);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind(), uvm::ErrorKind::Busy) << again.error().text();
  const auto in_ram = memory->map_device("lost", *uvm::GpaRange::from_size(uvm::Gpa(kMiB), 0x1000));
  ASSERT_FALSE(in_ram);
  EXPECT_EQ(in_ram.error().kind(), uvm::ErrorKind::Invalid) << in_ram.error().text();

  const std::string map = format_memory_map(memory->space());
  EXPECT_NE(map.find("00000fec00000-00000fec01000"), std::string::npos) << map;
  EXPECT_NE(map.find("mmio"), std::string::npos) << map;
  EXPECT_NE(map.find("device timer+0x0"), std::string::npos) << map;
  EXPECT_NE(map.find("total: 1 mappings of 16M"), std::string::npos) << map;
  EXPECT_NE(map.find("; 1 devices\n"), std::string::npos) << map;

  EXPECT_FALSE(memory->holds(timer.begin(), 4));
  const auto read = uvm::Access::read_value<std::uint32_t>(memory->space(), timer.begin());
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind(), uvm::ErrorKind::NoBacking) << read.error().text();
}

TEST(MemoryMap, ShowsWhatALimitSentToSwap) {
  GuestMemory::Request request;
  request.name = "test";
  request.ram = {*uvm::GpaRange::from_bounds(uvm::Gpa(0), uvm::Gpa(16 * kMiB))};
  request.overcommit.limit = 8 * kMiB;
  request.overcommit.swap = ::testing::TempDir();
  const auto memory = GuestMemory::create(request);
  if (!memory && memory.error().kind() == uvm::ErrorKind::Unsupported) GTEST_SKIP() << memory.error().text();
  ASSERT_TRUE(memory) << memory.error().text();
  EXPECT_EQ((*memory)->limit(), 8 * kMiB);
  uvm::Space& space = (*memory)->space();
  for (std::uint64_t at = 0; at < 12 * kMiB; at += uvm::kPageSize) {
    ASSERT_TRUE(uvm::Access::write_value(space, uvm::Gpa(at), at + 1));
  }
  const std::string map = format_memory_map(space);
  EXPECT_NE(map.find("wired swapped  pages"), std::string::npos) << map;
  EXPECT_NE(map.find("limit 8M"), std::string::npos) << map;
  EXPECT_EQ(map.find("swapped 0"), std::string::npos) << map;
  EXPECT_GE(space.swapped(space.limits()), 4 * kMiB);
  EXPECT_GE((*memory)->swap()->used(), 4 * kMiB);
  for (std::uint64_t at = 0; at < 12 * kMiB; at += uvm::kPageSize) {
    const auto value = uvm::Access::read_value<std::uint64_t>(space, uvm::Gpa(at));
    ASSERT_TRUE(value) << value.error().text();
    ASSERT_EQ(*value, at + 1);
  }
}

TEST(GuestMemory, HoldsExactlyItsRanges) {
  const auto memory = memory_of(MemoryBacking::Anonymous);
  ASSERT_NE(memory, nullptr);
  EXPECT_TRUE(memory->holds(uvm::Gpa(0), 8));
  EXPECT_TRUE(memory->holds(uvm::Gpa(16 * kMiB - 8), 8));
  EXPECT_FALSE(memory->holds(uvm::Gpa(16 * kMiB - 4), 8));
  EXPECT_FALSE(memory->holds(uvm::Gpa(~std::uint64_t{0}), 8));
}

}  // namespace memory_map_test
}  // namespace vmm

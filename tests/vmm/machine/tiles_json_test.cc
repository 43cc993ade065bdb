// A guest's tiles as the API tells them.
#include "vmm/machine/tiles_json.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "tests/support/patterns.h"
#include "uvm/access.h"
#include "uvm/pin.h"
#include "vmm/machine/guest_memory.h"

namespace vmm {
namespace tiles_json_test {

namespace json = boost::json;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

class TilesJson : public ::testing::Test {
 protected:
  void SetUp() override {
    GuestMemory::Request request;
    request.name = "test";
    request.ram = {*uvm::GpaRange::from_size(uvm::Gpa(0), 16 * kMiB)};
    request.backing = MemoryBacking::Anonymous;
    request.huge_pages = HugePages::Never;
    auto made = GuestMemory::create(request);
    ASSERT_TRUE(made) << made.error().text();
    memory_ = *std::move(made);
  }
  void write(std::uint64_t at) const {
    ASSERT_TRUE(uvm::Access::write_value(memory_->space(), uvm::Gpa(at), std::uint64_t{1}));
  }
  [[nodiscard]] json::object tiles(const TilesOf& of = {"test", false, {}},
                                   std::size_t most = kMostTileRuns) const {
    return json::parse(memory_tiles_json(memory_->space(), of, most)).as_object();
  }

  std::unique_ptr<GuestMemory> memory_;
};

TEST_F(TilesJson, UntouchedMemoryIsOneRun) {
  const json::object all = tiles();
  EXPECT_EQ(all.at("tile_bytes").to_number<std::uint64_t>(), 2 * kMiB);
  ASSERT_EQ(all.at("runs").as_array().size(), 1U);
  EXPECT_EQ(all.at("runs").as_array()[0], json::value({0, 8, 512, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(all.at("totals").at("untouched").to_number<std::uint64_t>(), 16 * kMiB);
  EXPECT_EQ(all.at("grounds").as_array().size(), 1U);
}

TEST_F(TilesJson, CountsWhatWasWrittenWhereItLies) {
  write(5 * kMiB);
  write(5 * kMiB + uvm::kPageSize);
  const json::object all = tiles();
  ASSERT_EQ(all.at("runs").as_array().size(), 3U);
  EXPECT_EQ(all.at("runs").as_array()[1], json::value({2, 1, 512, 0, 2, 0, 0, 0, 0, 0}));
  EXPECT_EQ(all.at("totals").at("private").to_number<std::uint64_t>(), 2 * uvm::kPageSize);
}

TEST_F(TilesJson, TellsOfPinsTrapsAndMappings) {
  const auto owner = uvm::PinOwner::create("vfio </script>");
  const auto pin = uvm::Pin::create(memory_->space(), *uvm::GpaRange::from_size(uvm::Gpa(0x3000), 0x2000),
                                    uvm::PinAccess::Write, owner);
  ASSERT_TRUE(pin) << pin.error().text();
  const json::object all = tiles({"<b>", true, {uvm::Gpa(0x3010)}});
  EXPECT_EQ(all.at("machine").as_string(), "<b>");
  EXPECT_TRUE(all.at("paused").as_bool());
  ASSERT_EQ(all.at("pins").as_array().size(), 1U);
  EXPECT_EQ(all.at("pins").at(0).at("owner").as_string(), "vfio </script>");
  EXPECT_EQ(all.at("pin_count").to_number<int>(), 1);
  EXPECT_EQ(all.at("traps").at(0).to_number<std::uint64_t>(), 0x3010U);
  EXPECT_EQ(all.at("mappings").at(0).at("name").as_string(), "ram");
  EXPECT_EQ(all.at("totals").at("wired").to_number<std::uint64_t>(), 0x2000U);
}

TEST_F(TilesJson, HasLargerTilesWhereThereAreTooMany) {
  for (std::uint64_t n = 0; n < 8; n += 2) write(n * 2 * kMiB);
  const json::object all = tiles({"test", false, {}}, 3);
  EXPECT_EQ(all.at("tile_bytes").to_number<std::uint64_t>(), 4 * kMiB);
  ASSERT_EQ(all.at("runs").as_array().size(), 1U);
  EXPECT_EQ(all.at("runs").as_array()[0], json::value({0, 4, 1024, 0, 1, 0, 0, 0, 0, 0}));
}

TEST_F(TilesJson, DevicesAreNoMemory) {
  ASSERT_TRUE(memory_->map_device("timer", *uvm::GpaRange::from_size(uvm::Gpa(0xfec0'0000), 0x1000)));
  const json::object all = tiles();
  EXPECT_EQ(all.at("mappings").as_array().size(), 1U);
  EXPECT_EQ(all.at("runs").as_array().size(), 1U);
}

}  // namespace tiles_json_test
}  // namespace vmm

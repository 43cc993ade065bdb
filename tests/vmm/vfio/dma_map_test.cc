// Pins and I/O mappings come and go together, in the right order. The I/O space is a list here.
#include "vmm/vfio/dma_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "tests/vmm/pins/pin_space.h"

namespace vmm::vfio {
namespace dma_map_test {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// Refuses the ranges from `refuse_after` on; notes how much was pinned at each unmap().
class ListedIoSpace : public IoSpace {
 public:
  explicit ListedIoSpace(uvm::Space& space) : space_(space) {}

  uvm::Status map(uvm::GpaRange range, std::span<std::byte> bytes) override {
    if (ranges.size() == refuse_after) return uvm::Error(uvm::ErrorKind::NoMemory, "over the limit");
    EXPECT_EQ(bytes.size(), range.size());
    ranges.push_back(range);
    hosts.push_back(bytes.data());
    return uvm::ok();
  }
  void unmap(uvm::GpaRange range) override {
    std::erase(ranges, range);
    pinned_at_unmap.push_back(space_.pin_statistics().bytes);
  }

  std::size_t refuse_after = 1000;
  std::vector<uvm::GpaRange> ranges;
  std::vector<std::byte*> hosts;
  std::vector<std::uint64_t> pinned_at_unmap;

 private:
  uvm::Space& space_;
};

class VfioDmaMap : public test::PinSpace {
 protected:
  VfioDmaMap() : io_(*space_) {}
  uvm::Result<DmaMap> map(std::vector<uvm::GpaRange> ranges) {
    return DmaMap::create(*space_, io_, ranges, owner_, uvm::ForkPolicy::Refuse);
  }

  ListedIoSpace io_;
  const std::shared_ptr<uvm::PinOwner> owner_ = uvm::PinOwner::create("vfio0");
};

TEST_F(VfioDmaMap, PinsWhatItMapsAndUnmapsBeforeItUnpins) {
  {
    const auto made = map({pages(0, 8), pages(10, 12)});
    ASSERT_TRUE(made) << made.error().text();
    EXPECT_THAT(io_.ranges, ElementsAre(pages(0, 8), pages(10, 12)));
    EXPECT_EQ(pinned(), 20 * kPage);
    EXPECT_EQ(owner_->pinned(), 20 * kPage);
    EXPECT_EQ(io_.hosts[0], space_->pmap().bytes(pages(0, 8)).data());
  }
  EXPECT_THAT(io_.ranges, IsEmpty());
  EXPECT_THAT(io_.pinned_at_unmap, ElementsAre(20 * kPage, 20 * kPage));
  EXPECT_EQ(pinned(), 0u);
  EXPECT_EQ(owner_->pinned(), 0u);
}

TEST_F(VfioDmaMap, IsAllOrNothing) {
  io_.refuse_after = 2;
  EXPECT_EQ(map({pages(0, 1), pages(2, 1), pages(4, 1)}).error().kind(), uvm::ErrorKind::NoMemory);
  EXPECT_THAT(io_.ranges, IsEmpty());
  EXPECT_EQ(pinned(), 0u);
  EXPECT_EQ(map({pages(0, 1), pages(60, 1)}).error().kind(), uvm::ErrorKind::NoMapping);
  EXPECT_THAT(io_.ranges, IsEmpty());
  EXPECT_EQ(pinned(), 0u);
}

TEST_F(VfioDmaMap, MovesAsOne) {
  std::optional<DmaMap> kept;
  {
    auto made = map({pages(0, 4)});
    ASSERT_TRUE(made) << made.error().text();
    kept = *std::move(made);
  }
  EXPECT_EQ(pinned(), 4 * kPage);
  auto other = map({pages(8, 4)});
  ASSERT_TRUE(other) << other.error().text();
  *kept = *std::move(other);
  EXPECT_THAT(io_.ranges, ElementsAre(pages(8, 4)));
  EXPECT_EQ(pinned(), 4 * kPage);
  kept.reset();
  EXPECT_THAT(io_.ranges, IsEmpty());
  EXPECT_EQ(pinned(), 0u);
}

}  // namespace dma_map_test
}  // namespace vmm::vfio

// Guest RAM that was given back, and images of it: what a copy gets, and what a reset brings back.
#include <gtest/gtest.h>

#include "uvm/access.h"
#include "vmm/machine/guest_memory.h"

namespace vmm {
namespace guest_memory_discard_test {

constexpr std::uint64_t kPage = uvm::kPageSize;
constexpr std::uint64_t kPages = 256;

class GuestMemoryDiscard : public testing::TestWithParam<MemoryBacking> {
 protected:
  void SetUp() override {
    GuestMemory::Request request;
    request.name = "test";
    request.ram = {*uvm::GpaRange::from_size(uvm::Gpa(0), kPages * kPage)};
    request.backing = GetParam();
    request.huge_pages = HugePages::Never;
    auto made = GuestMemory::create(request);
    ASSERT_TRUE(made) << made.error().text();
    memory_ = *std::move(made);
  }
  void put(std::uint64_t page, std::uint64_t value) {
    ASSERT_TRUE(uvm::Access::write_value(memory_->space(), uvm::Gpa(page * kPage), value));
  }
  std::uint64_t get(std::uint64_t page) {
    return uvm::Access::read_value<std::uint64_t>(memory_->space(), uvm::Gpa(page * kPage)).value();
  }
  void discard(std::uint64_t first, std::uint64_t count) {
    const auto given =
        memory_->space().discard(*uvm::GpaRange::from_size(uvm::Gpa(first * kPage), count * kPage));
    ASSERT_TRUE(given) << given.error().text();
    EXPECT_EQ(given->given_back, count * kPage);
  }
  snapshot::MemoryImage image() {
    auto room = memory_->prepare_image();
    EXPECT_TRUE(room);
    auto taken = memory_->take_image(*room);
    EXPECT_TRUE(taken) << taken.error().text();
    auto changed = std::move(room->pages).finish();
    EXPECT_TRUE(changed);
    taken->changed = *std::move(changed);
    return *std::move(taken);
  }

  std::unique_ptr<GuestMemory> memory_;
};

TEST_P(GuestMemoryDiscard, AnImageHasNoneOfThePagesThatWereGivenBack) {
  for (std::uint64_t page = 0; page < 64; ++page) put(page, page + 1);
  discard(0, 32);
  const snapshot::MemoryImage taken = image();
  auto view = snapshot::ImageView::create(taken);
  ASSERT_TRUE(view);
  std::vector<std::byte> bytes(kPage);
  view->read(uvm::Gpa(5 * kPage), bytes);
  EXPECT_TRUE(snapshot::all_zeros(bytes));
  view->read(uvm::Gpa(40 * kPage), bytes);
  EXPECT_EQ(bytes[0], std::byte{41});
  EXPECT_LE(taken.changed_pages(), 32U);
}

TEST_P(GuestMemoryDiscard, AResetBringsBackWhatWasGivenBackSince) {
  put(1, 1);
  const snapshot::MemoryImage first = image();  // a copy of a shared object from here on
  for (std::uint64_t page = 0; page < 64; ++page) put(page, page + 100);
  const snapshot::MemoryImage taken = image();
  auto view = snapshot::ImageView::create(taken);
  ASSERT_TRUE(view);
  discard(0, 16);
  discard(40, 4);
  put(2, 7777);
  put(63, 7777);
  ASSERT_TRUE(memory_->reset_to(*view));
  for (std::uint64_t page = 0; page < 64; ++page) EXPECT_EQ(get(page), page + 100) << page;
  EXPECT_EQ(get(64), 0U);
}

INSTANTIATE_TEST_SUITE_P(Backings, GuestMemoryDiscard,
                         testing::Values(MemoryBacking::Anonymous, MemoryBacking::Shared));

}  // namespace guest_memory_discard_test
}  // namespace vmm

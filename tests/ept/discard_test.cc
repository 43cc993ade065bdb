// Pages that the guest has done with, on host memory: what the host gets back, and what it costs to note it.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/ept/ept_support.h"
#include "uvm/access.h"
#include "uvm/space.h"

namespace ept {
namespace discard_test {

using namespace test;

constexpr std::uint64_t kEach = 1024;  // pages

class DiscardOnHost : public testing::Test {
 protected:
  void SetUp() override {
    pmap_ = make_pmap(pages(0, kEach));
    space_ = *uvm::Space::create("guest", *pmap_, pages(0, kEach));
  }
  void map(std::shared_ptr<uvm::Pager> pager, uvm::Sharing sharing) {
    uvm::MapRequest request;
    request.range = pages(0, kEach);
    if (pager) request.object = uvm::Object::create(std::move(pager));
    request.sharing = sharing;
    request.name = "ram";
    ASSERT_OK(space_->map(request));
  }
  void write_all() {
    for (std::uint64_t n = 0; n < kEach; ++n) {
      ASSERT_OK(uvm::Access::write_value(*space_, page(n), n + 1));
    }
  }
  std::uint64_t value_at(std::uint64_t n) {
    return uvm::Access::read_value<std::uint64_t>(*space_, page(n)).value();
  }
  std::uint64_t discard(uvm::GpaRange range) {
    const auto discarded = space_->discard(range);
    EXPECT_TRUE(discarded) << discarded.error().text();
    return discarded ? discarded->given_back / kPage : 0;
  }

  std::unique_ptr<Pmap> pmap_;
  std::unique_ptr<uvm::Space> space_;
};

TEST_F(DiscardOnHost, TheHostHasThePagesBackAndNoMappingMore) {
  map(nullptr, uvm::Sharing::Private);
  write_all();
  EXPECT_EQ(pmap_->residency(pages(0, kEach)).priv, kEach * kPage);
  const std::uint64_t runs = pmap_->run_count();
  // One by one, with gaps, as a balloon does it.
  for (std::uint64_t n = 0; n < kEach; n += 2) EXPECT_EQ(discard(pages(n, 1)), 1U);
  EXPECT_EQ(pmap_->residency(pages(0, kEach)).priv, kEach / 2 * kPage);
  EXPECT_EQ(pmap_->run_count(), runs) << "host mappings are not cut";
  EXPECT_EQ(value_at(2), 0U);
  EXPECT_EQ(value_at(3), 4U);
  ASSERT_OK(uvm::Access::write_value(*space_, page(2), std::uint64_t{77}));
  EXPECT_EQ(value_at(2), 77U);
}

TEST_F(DiscardOnHost, MemoryThatIsOneObjectGetsAHole) {
  std::shared_ptr<host::RamObject> object = make_object(kEach);
  map(object, uvm::Sharing::Shared);
  write_all();
  struct stat before {};
  ASSERT_EQ(::fstat(object->fd(), &before), 0);
  EXPECT_EQ(discard(pages(0, kEach / 2)), kEach / 2);
  struct stat after {};
  ASSERT_EQ(::fstat(object->fd(), &after), 0);
  EXPECT_EQ(after.st_blocks, before.st_blocks / 2);
  EXPECT_EQ(value_at(1), 0U);
  EXPECT_EQ(value_at(kEach - 1), kEach);
}

TEST_F(DiscardOnHost, ACopyGivesItsOwnPagesBackAndReadsWhatItBeganWith) {
  std::shared_ptr<host::RamObject> object = make_object(kEach);
  map(object, uvm::Sharing::Private);
  write_all();
  EXPECT_EQ(discard(pages(0, kEach)), kEach);
  EXPECT_EQ(pmap_->residency(pages(0, kEach)).priv, 0U);
  EXPECT_EQ(static_cast<std::byte>(value_at(5)), pattern_of(5));
  EXPECT_EQ(stored_byte(*object, 5), pattern_of(5));
}

TEST_F(DiscardOnHost, PagesOutOfViewGoToo) {
  map(nullptr, uvm::Sharing::Private);
  write_all();
  pmap_->remove(pages(0, kEach));
  EXPECT_EQ(discard(pages(0, kEach / 2)), kEach / 2);
  EXPECT_EQ(value_at(1), 0U);
  EXPECT_EQ(value_at(kEach - 1), kEach);
}

}  // namespace discard_test
}  // namespace ept

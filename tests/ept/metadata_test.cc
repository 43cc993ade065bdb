// What describing memory costs: bytes that malloc() gave, not those that somebody added up.
#include <cstdint>
#include <cstdio>
#include <memory>

#include "ept/host/arena.h"
#include "tests/ept/ept_support.h"
#include "tests/support/alloc_fault.h"
#include "uvm/space.h"

namespace ept {
namespace metadata_test {

using namespace test;

/// A guest and its fork: every page of the guest is an anon, in frames that make no large leaves, and has its
/// translation.
class Family {
 public:
  explicit Family(std::uint64_t count)
      : count_(count),
        pmap_(make_pmap(pages(0, count))),
        child_pmap_(make_pmap(pages(0, count))),
        space_(uvm::Space::create("guest", *pmap_, pages(0, count)).value()) {
    uvm::MapRequest request;
    request.range = pages(0, count);
    EXPECT_OK(space_->map(request));
    for (std::uint64_t i = 0; i < count; ++i) store(*pmap_, i, pattern_of(i));
    child_ = space_->fork("child", *child_pmap_).value();
    for (std::uint64_t i = 0; i < count; ++i) EXPECT_OK(space_->fault(page(i), uvm::AccessKind::Read));
    EXPECT_EQ(pmap_->extract(page(count - 1))->frame->store->name(), "arena");
    EXPECT_EQ(pmap_->extract(page(count - 1))->leaf_size, kPage) << "large leaves would cost nothing";
  }
  /// The child writes one page of each chunk: the chunks are copied, and all their pages counted at the
  /// arena.
  void diverge() const {
    for (std::uint64_t i = 0; i < count_; i += uvm::kSlotsPerChunk) {
      EXPECT_OK(child_->fault(page(i), uvm::AccessKind::Write));
    }
  }
  [[nodiscard]] uvm::Space& space() const { return *space_; }

 private:
  const std::uint64_t count_;
  std::unique_ptr<Pmap> pmap_;
  std::unique_ptr<Pmap> child_pmap_;
  std::unique_ptr<uvm::Space> space_;
  std::unique_ptr<uvm::Space> child_;
};

class MetadataOfAnons : public testing::Test {
 protected:
  void SetUp() override {
    odd_ = arena().allocate().value();
    const Family warm(kFew);  // what is allocated once and kept
  }
  void TearDown() override {
    if (odd_.store != nullptr) arena().free(odd_);
  }
  static host::Arena& arena() { return *host::Arena::of_process().value(); }

  /// Bytes that each page more takes. A space and a pmap of any size take some 60 KiB besides.
  template <class F>
  static double bytes_a_page(F&& measure) {
    const std::int64_t few = measure(kFew);
    const std::int64_t many = measure(kMany);
    return static_cast<double>(many - few) / static_cast<double>(kMany - kFew);
  }
  static constexpr std::uint64_t kFew = 4096;    // pages
  static constexpr std::uint64_t kMany = 20480;  // pages
  static constexpr double kAtMost = 0.004 * kPage;

  uvm::Frame odd_;
};

TEST_F(MetadataOfAnons, IsAtMostFourThousandthsOfTheMemory) {
  const double taken = bytes_a_page([](std::uint64_t count) {
    const std::int64_t before = ::test::live_bytes();
    const Family family(count);
    return ::test::live_bytes() - before;
  });
  const double counted = bytes_a_page([](std::uint64_t count) {
    const Family family(count);
    return static_cast<std::int64_t>(family.space().metadata_bytes());
  });
  std::printf("%.2f bytes a page, %.3f %%\n", taken, 100 * taken / kPage);
  EXPECT_LE(taken, kAtMost);
  EXPECT_NEAR(counted, taken, 0.5) << "what the space says about itself";
}

TEST_F(MetadataOfAnons, GrowsByASlotAndACountWhereAForkDiverges) {
  const double grown = bytes_a_page([](std::uint64_t count) {
    const Family family(count);
    const std::int64_t before = ::test::live_bytes();
    family.diverge();
    return ::test::live_bytes() - before;
  });
  std::printf("%.2f bytes a page more\n", grown);
  // A slot, a count, and the child's translations: a page of tables for each of the pages it wrote,
  // which are 4 MiB apart.
  EXPECT_LE(grown, 8.2 + 4.1 + 4.1);
}

}  // namespace metadata_test
}  // namespace ept

// A host whose memory runs out at any allocation of a change of translations: an error or less than was
// there, and the tables, the window and the private pages agree afterwards.
#include <gtest/gtest.h>

#include <array>
#include <set>

#include "tests/ept/ept_support.h"
#include "tests/support/alloc_fault.h"

namespace ept {
namespace out_of_memory_test {

using namespace test;
using ::test::AllocFault;
using ::test::Exhaustion;
using uvm::Placement;
using uvm::Protection;
using uvm::Status;

/// Five areas of 64 pages, by what they map, with private pages in view and out of view, and a thread that
/// enters again what somebody misses.
class PmapWorld {
 public:
  static constexpr std::uint64_t kArea = 64;
  static constexpr std::uint64_t kZero = 0;
  static constexpr std::uint64_t kImage = kArea;       // copied on write
  static constexpr std::uint64_t kShared = 2 * kArea;  // pages of an object
  static constexpr std::uint64_t kPresent = 3 * kArea;
  static constexpr std::uint64_t kEmpty = 4 * kArea;  // nothing there
  static constexpr std::uint64_t kAll = 5 * kArea;

  PmapWorld() {
    for (const std::uint64_t area : {kZero, kImage, kShared}) EXPECT_OK(pmap->enter(mapping(area, kArea)));
    if (has_events()) EXPECT_OK(pmap->enter(mapping(kPresent, kArea)));
    for (const std::uint64_t at : {kZero + 3, kZero + 9, kImage + 3, kImage + 9}) write(at);
    if (has_events()) {
      for (const std::uint64_t at : {kPresent + 3, kPresent + 4, kPresent + 9}) fill(at);
    }
    // Out of view.
    for (const std::uint64_t area : {kZero, kImage}) pmap->remove(pages(area + 9, 1));
    if (has_events()) {
      pmap->remove(pages(kPresent + 9, 1));
      handler.emplace(*pmap, [this](const StageTwoEvent& event) { resolve(event.address.page()); });
    }
  }

  [[nodiscard]] bool has_events() const { return pmap->events() != nullptr; }

  [[nodiscard]] uvm::Mapping mapping(std::uint64_t first, std::uint64_t count) const {
    const uvm::GpaRange range = pages(first, count);
    if (first < kImage) return zero(range);
    if (first < kShared) return copy_on_write(range, {image.get(), first - kImage});
    if (first < kPresent) return exact(range, {shared.get(), first - kShared});
    return {range, std::nullopt, uvm::Fill::Present, Protection::All};
  }

  /// What a guest has to read there.
  [[nodiscard]] std::byte expected(std::uint64_t number) const {
    if (written.contains(number)) return std::byte{0xee};
    if (number >= kImage && number < kPresent) return pattern_of(number % kArea);
    return std::byte{0};
  }

  void write(std::uint64_t number) {
    store(*pmap, number, std::byte{0xee});
    written.insert(number);
  }
  void fill(std::uint64_t number) {
    EXPECT_OK(pmap->fill(pages(number, 1), std::vector<std::byte>(kPage, std::byte{0xee})));
    written.insert(number);
  }

  /// What the VM system would do about an access.
  void resolve(std::uint64_t number) {
    if (number >= kPresent && !pmap->harvest_page(page(number))) {
      EXPECT_OK(pmap->fill(pages(number, 1), {}));
    }
    EXPECT_OK(pmap->enter(mapping(number, 1)));
  }

  /// Every page holds what it should, whether it is in view or has to be entered.
  void expect_contents() {
    for (std::uint64_t number = 0; number < (has_events() ? kEmpty : kPresent); ++number) {
      if (!has_events()) resolve(number);
      ASSERT_EQ(load(*pmap, number), expected(number)) << "page " << number;
    }
  }
  /// What has no translation cannot be reached without an event.
  void expect_watched(std::uint64_t number) {
    if (!has_events() || pmap->extract(page(number))) return;
    const int before = handler->events();
    EXPECT_EQ(load(*pmap, number), expected(number)) << "page " << number;
    EXPECT_GT(handler->events(), before) << "page " << number << " was in view without translation";
  }

  std::unique_ptr<host::RamObject> image = make_object(kArea);
  std::unique_ptr<host::RamObject> shared = make_object(kArea);
  std::unique_ptr<Pmap> pmap = make_pmap(pages(0, kAll));
  std::set<std::uint64_t> written;
  std::optional<Handler> handler;
};

using W = PmapWorld;

enum class View : std::uint8_t {
  Follows,  // what has no translation is out of view
  Stays,    // the tables are forgotten, and private pages stay where they are
};

struct Change {
  const char* name;
  Status (*act)(W&);
  View view = View::Follows;
};

void PrintTo(const Change& change, std::ostream* out) {
  *out << change.name;
}

Status promote(W& w, const uvm::Promotion& promotion) {
  UVMM_TRY(const uvm::Frame frame, w.pmap->promote(promotion));
  if (promotion.placement == Placement::Shareable) w.pmap->release(frame);
  return uvm::ok();
}

/// What may fail.
const std::vector<Change> kFallible = {
    {"enter_zero", [](W& w) { return w.pmap->enter(zero(pages(W::kEmpty + 5, 20))); }},
    {"enter_over_private", [](W& w) { return w.pmap->enter(w.mapping(W::kZero, W::kArea)); }},
    {"enter_image", [](W& w) { return w.pmap->enter(w.mapping(W::kImage + 8, 5)); }},
    {"enter_shared",
     [](W& w) {
       return w.pmap->enter(exact(pages(W::kEmpty, 64), {w.shared.get(), 0}));
     }},
    {"enter_shared_over_image",
     [](W& w) {
       return w.pmap->enter(exact(pages(W::kImage + 2, 9), {w.shared.get(), 2}));
     }},
    {"enter_read_only",
     [](W& w) {
       return w.pmap->enter(exact(pages(W::kShared + 7, 9), {w.shared.get(), 7}, Protection::Read));
     }},
    {"promote_zeros",
     [](W& w) {
       return promote(w, {page(W::kEmpty + 5), std::nullopt});
     }},
    {"promote_copy",
     [](W& w) {
       return promote(w, {page(W::kShared + 5), uvm::Frame{w.shared.get(), 5}});
     }},
    {"promote_by_the_host",
     [](W& w) {
       return promote(w, {page(W::kImage + 5), uvm::Frame{w.image.get(), 5}});
     }},
    {"promote_shareable",
     [](W& w) {
       return promote(w, {page(W::kShared + 5), uvm::Frame{w.shared.get(), 5}, Placement::Shareable});
     }},
    {"fill_out_of_view", [](W& w) { return w.pmap->fill(pages(W::kEmpty + 5, 4), {}); }},
    {"fill_present", [](W& w) { return w.pmap->fill(pages(W::kPresent + 20, 4), {}); }},
    {"settle", [](W& w) { return w.pmap->settle(std::array{pages(0, W::kAll)}); }},
};

/// What may not.
const std::vector<Change> kInfallible = {
    {"remove_zero", [](W& w) { return w.pmap->remove(pages(W::kZero + 2, 3)), uvm::ok(); }},
    {"remove_image", [](W& w) { return w.pmap->remove(pages(W::kImage + 2, 3)), uvm::ok(); }},
    {"remove_shared", [](W& w) { return w.pmap->remove(pages(W::kShared + 2, 3)), uvm::ok(); }},
    {"remove_present", [](W& w) { return w.pmap->remove(pages(W::kPresent + 2, 3)), uvm::ok(); }},
    {"remove_across", [](W& w) { return w.pmap->remove(pages(W::kZero + 2, W::kAll - 4)), uvm::ok(); }},
    {"protect",
     [](W& w) { return w.pmap->protect(pages(W::kZero + 2, W::kAll - 4), Protection::Read), uvm::ok(); }},
    {"protect_all",
     [](W& w) { return w.pmap->protect(pages(W::kImage + 2, 3), Protection::None), uvm::ok(); }},
    {"discard",
     [](W& w) {
       w.pmap->discard(pages(W::kImage + 3, 2));
       return w.written.erase(W::kImage + 3), uvm::ok();
     }},
    {"discard_present",
     [](W& w) {
       w.pmap->discard(pages(W::kPresent + 4, 6));
       return w.written.erase(W::kPresent + 4), w.written.erase(W::kPresent + 9), uvm::ok();
     }},
    {"release",
     [](W& w) {
       const auto frame = w.pmap->harvest_page(page(W::kImage + 9));
       EXPECT_TRUE(frame);
       w.pmap->release(*frame);
       return w.written.erase(W::kImage + 9), uvm::ok();
     }},
    {"drop_all", [](W& w) { return w.pmap->drop_all(), uvm::ok(); }, View::Stays},
};

/// Runs the change with the n-th allocation failing. Whether it came to that.
bool fails_at(std::uint64_t n, Exhaustion how, const Change& change, Status& status) {
  SCOPED_TRACE("allocation " + std::to_string(n));
  W world;
  bool has_failed = false;
  {
    const AllocFault fault(n, how);
    status = change.act(world);
    has_failed = AllocFault::has_failed();
  }
  if (!status) {
    EXPECT_EQ(status.error().kind(), uvm::ErrorKind::NoMemory) << status.error().text();
    if (how == Exhaustion::Once) {
      EXPECT_NE(status.error().text().find("guest range 0x"), std::string::npos) << status.error().text();
    }
  }
  for (const std::uint64_t at : {W::kZero + 3, W::kImage + 3, W::kShared + 5, W::kPresent + 3}) {
    if (change.view == View::Follows) world.expect_watched(at);
  }
  if (!status) EXPECT_OK(change.act(world));
  for (std::uint64_t number = 0; number < (world.has_events() ? W::kEmpty : W::kPresent); ++number) {
    world.resolve(number);
  }
  world.expect_contents();
  return has_failed;
}

class PmapOutOfMemoryTest : public testing::TestWithParam<Change> {
 protected:
  /// How many of the allocations made it fail.
  static std::uint64_t exhaust(Exhaustion how) {
    Status status;
    fails_at(1, how, GetParam(), status);  // what a thread allocates once and keeps
    std::uint64_t failures = 0;
    for (std::uint64_t n = 1; fails_at(n, how, GetParam(), status) && !HasFailure();
         n += ::test::kAllocStride) {
      failures += status ? 0U : 1U;
    }
    return failures;
  }
};
class PmapOutOfMemoryErrorTest : public PmapOutOfMemoryTest {};
class PmapOutOfMemoryLessTest : public PmapOutOfMemoryTest {};

TEST_P(PmapOutOfMemoryErrorTest, IsAnErrorAndNothingIsLost) {
  RecordProperty("exhausted", static_cast<int>(exhaust(Exhaustion::Once)));
  exhaust(Exhaustion::FromThenOn);
}

TEST_P(PmapOutOfMemoryLessTest, LosesTranslationsAndNoPages) {
  EXPECT_EQ(exhaust(Exhaustion::Once), 0U);
  EXPECT_EQ(exhaust(Exhaustion::FromThenOn), 0U);
}

const auto by_name = [](const auto& row) { return std::string(row.param.name); };
INSTANTIATE_TEST_SUITE_P(Changes, PmapOutOfMemoryErrorTest, testing::ValuesIn(kFallible), by_name);
INSTANTIATE_TEST_SUITE_P(Changes, PmapOutOfMemoryLessTest, testing::ValuesIn(kInfallible), by_name);

TEST(PmapOutOfMemoryTest, WhatIsTakenAwayWithoutMemoryIsAlwaysTaken) {
  W world;
  {
    const AllocFault fault(1, Exhaustion::FromThenOn);
    // Each of them cuts what the one before left whole; long before the last nothing is left that was set
    // aside.
    for (std::uint64_t number = 0; number < W::kEmpty; number += 2) {
      world.pmap->remove(pages(number, 1));
      EXPECT_FALSE(world.pmap->extract(page(number))) << number;
    }
  }
  for (std::uint64_t number = 0; number < W::kPresent; number += 2) world.expect_watched(number);
  world.expect_contents();
}

}  // namespace out_of_memory_test
}  // namespace ept

// The VM system over the host's pmap with memory exhausted at every allocation of either: an error that says
// so, nothing half done, and the operation succeeds when it is repeated.
#include <gtest/gtest.h>

#include <map>

#include "tests/ept/ept_support.h"
#include "tests/support/alloc_fault.h"
#include "tests/support/alloc_steady_swap.h"
#include "uvm/access.h"
#include "uvm/pin.h"
#include "uvm/reclaim.h"
#include "uvm/space.h"

namespace ept {
namespace space_out_of_memory_test {

using namespace test;
using ::test::AllocFault;
using ::test::AllocPause;
using ::test::Exhaustion;
using ::test::SteadySwap;
using uvm::AccessKind;
using uvm::Status;

enum class Limited : std::uint8_t { No, Yes };

/// Zero-fill memory, an image copied on write and a shared object, 64 pages each, with written pages, and
/// threads that answer the events of the space and of its child.
class SpaceWorld {
 public:
  static constexpr std::uint64_t kArea = 64;
  static constexpr std::uint64_t kImage = kArea;
  static constexpr std::uint64_t kShared = 2 * kArea;
  static constexpr std::uint64_t kEmpty = 3 * kArea;
  static constexpr std::uint64_t kAll = 1024;

  explicit SpaceWorld(Limited limited) {
    map(0, nullptr, uvm::Sharing::Private);
    map(kImage, image, uvm::Sharing::Private);
    if (limited == Limited::No) {
      map(kShared, shared, uvm::Sharing::Shared);
      EXPECT_OK(space->inherit(pages(kShared, kArea), uvm::Inherit::Share));
    } else {
      EXPECT_OK(space->set_limit({uvm::kLeastMemoryLimit, &swap, {}}));
    }
    for (const std::uint64_t number : {3U, 4U, 9U, 20U}) write(number, std::byte{0xee});
    for (const std::uint64_t number : {3U, 9U}) write(kImage + number, std::byte{0xee});
    if (pmap->events() == nullptr) return;
    handler.emplace(
        *pmap, [this](const StageTwoEvent& event) { EXPECT_OK(space->fault(event.address, event.access)); });
    other_handler.emplace(*other_pmap, [this](const StageTwoEvent& event) {
      if (other) EXPECT_OK(other->fault(event.address, event.access));
    });
  }
  ~SpaceWorld() {
    handler.reset();
    other_handler.reset();
  }
  SpaceWorld(const SpaceWorld&) = delete;
  SpaceWorld& operator=(const SpaceWorld&) = delete;

  void map(std::uint64_t first, const std::shared_ptr<uvm::Object>& object, uvm::Sharing sharing) {
    EXPECT_OK(space->map(request(first, object, sharing)));
  }
  static uvm::MapRequest request(std::uint64_t first, std::shared_ptr<uvm::Object> object,
                                 uvm::Sharing sharing) {
    uvm::MapRequest made;
    made.range = pages(first, kArea);
    made.object = std::move(object);
    made.sharing = sharing;
    made.name = "area";
    return made;
  }
  void write(std::uint64_t number, std::byte value) {
    const std::vector<std::byte> bytes(kPage, value);
    EXPECT_OK(uvm::Access::write(*space, page(number), bytes));
    contents[number] = value;
  }
  [[nodiscard]] std::byte expected(std::uint64_t number) const {
    if (const auto written = contents.find(number); written != contents.end()) return written->second;
    return number >= kImage && number < image_end ? pattern_of(number % kArea) : std::byte{0};
  }
  void expect_contents(uvm::Space& which) const {
    for (const uvm::EntryInfo& entry : which.entries()) {
      for (std::uint64_t i = 0; i < entry.range.pages(); ++i) {
        const std::uint64_t number = entry.range.begin().page() + i;
        const auto seen = uvm::Access::read_value<std::byte>(which, page(number) + 5);
        ASSERT_TRUE(seen) << seen.error().text();
        ASSERT_EQ(*seen, expected(number)) << "page " << number;
      }
    }
  }

  std::uint64_t image_end = kEmpty;
  SteadySwap swap;
  std::shared_ptr<uvm::Object> image = uvm::Object::create(std::shared_ptr<uvm::Pager>(make_object(kArea)));
  std::shared_ptr<uvm::Object> shared = uvm::Object::create(std::shared_ptr<uvm::Pager>(make_object(kArea)));
  std::shared_ptr<uvm::PinOwner> owner = uvm::PinOwner::create("device");
  std::unique_ptr<Pmap> pmap = make_pmap(pages(0, kAll));
  std::unique_ptr<Pmap> other_pmap = make_pmap(pages(0, kAll));
  std::unique_ptr<uvm::Space> space = uvm::Space::create("guest", *pmap, pages(0, kAll)).value();
  std::unique_ptr<uvm::Space> other;
  std::vector<uvm::Pin> pins;
  std::map<std::uint64_t, std::byte> contents;
  std::optional<Handler> handler;
  std::optional<Handler> other_handler;
};

using W = SpaceWorld;

struct Operation {
  const char* name;
  Status (*act)(W&);
  Limited limited = Limited::No;
};

void PrintTo(const Operation& operation, std::ostream* out) {
  *out << operation.name;
}

Status write(W& w, std::uint64_t number, std::byte value) {
  AllocPause pause;
  const std::vector<std::byte> bytes(kPage, value);
  Status written;
  {
    const ::test::AllocResume resume;
    written = uvm::Access::write(*w.space, page(number), bytes);
  }
  if (written) w.contents[number] = value;
  return written;
}

Status pin(W& w, uvm::GpaRange range) {
  UVMM_TRY(uvm::Pin made, uvm::Pin::create(*w.space, range, uvm::PinAccess::Write, w.owner));
  const AllocPause pause;
  w.pins.push_back(std::move(made));
  return uvm::ok();
}

Status fork(W& w) {
  UVMM_TRY(auto child, w.space->fork("child", *w.other_pmap));
  const AllocPause pause;
  w.other = std::move(child);
  return uvm::ok();
}

Status reclaim(W& w) {
  UVMM_TRY([[maybe_unused]] const std::uint64_t went, w.space->reclaim(16 * kPage));
  return uvm::ok();
}

const std::vector<Operation> kOperations = {
    {"map_zero", [](W& w) { return w.space->map(W::request(W::kEmpty, nullptr, uvm::Sharing::Private)); }},
    {"map_image",
     [](W& w) {
       w.image_end = W::kEmpty + W::kArea;
       return w.space->map(W::request(W::kEmpty, w.image, uvm::Sharing::Private));
     }},
    {"unmap", [](W& w) { return w.space->unmap(pages(3, 2)); }},
    {"protect", [](W& w) { return w.space->protect(pages(3, W::kArea), uvm::Protection::Read); }},
    {"fault", [](W& w) { return w.space->fault(page(W::kImage + 5), AccessKind::Write); }},
    {"fault_wire_max",
     [](W& w) { return w.space->fault(page(W::kImage + 5), AccessKind::Read, uvm::FaultKind::WireMax); }},
    {"write", [](W& w) { return write(w, W::kImage + 7, std::byte{0x77}); }},
    {"pin", [](W& w) { return pin(w, pages(W::kImage + 2, 9)); }},
    {"wire_all",
     [](W& w) -> Status {
       UVMM_CHECK(w.space->wire_all(uvm::WireScope::Current, w.owner));
       w.space->unwire_all();
       return uvm::ok();
     }},
    {"fork", fork},
    {"limited_fork", fork, Limited::Yes},
    {"limited_fault", [](W& w) { return w.space->fault(page(40), AccessKind::Write); }, Limited::Yes},
    {"limited_write", [](W& w) { return write(w, 40, std::byte{0x77}); }, Limited::Yes},
    {"page_out", reclaim, Limited::Yes},
    {"page_in",
     [](W& w) {
       {
         const AllocPause pause;
         EXPECT_TRUE(w.space->reclaim(16 * kPage));
         EXPECT_TRUE(w.space->reclaim(16 * kPage));
       }
       return w.space->fault(page(3), AccessKind::Write);
     },
     Limited::Yes},
};

class SpaceOnHostOutOfMemoryTest : public testing::TestWithParam<Operation> {
 protected:
  static bool fails_at(std::uint64_t n, Exhaustion how) {
    SCOPED_TRACE("allocation " + std::to_string(n));
    W world(GetParam().limited);
    Status status;
    bool has_failed = false;
    {
      const AllocFault fault(n, how);
      status = GetParam().act(world);
      has_failed = AllocFault::has_failed();
    }
    if (!status) {
      EXPECT_EQ(status.error().kind(), uvm::ErrorKind::NoMemory) << status.error().text();
      world.expect_contents(*world.space);
      EXPECT_OK(GetParam().act(world));
    }
    world.expect_contents(*world.space);
    if (world.other) world.expect_contents(*world.other);
    return has_failed;
  }
};

TEST_P(SpaceOnHostOutOfMemoryTest, AnyAllocationMayFail) {
  if (GetParam().limited == Limited::Yes) {
    const auto probe = make_pmap(pages(0, 1));
    REQUIRE_EVENTS(probe);
  }
  for (const Exhaustion how : {Exhaustion::Once, Exhaustion::FromThenOn}) {
    fails_at(1, how);  // what a thread allocates once and keeps
    for (std::uint64_t n = 1; fails_at(n, how) && !HasFailure(); n += ::test::kAllocStride) {
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Operations, SpaceOnHostOutOfMemoryTest, testing::ValuesIn(kOperations),
                         [](const auto& row) { return std::string(row.param.name); });

}  // namespace space_out_of_memory_test
}  // namespace ept

// Breakpoints over a real space: acceptance tests B (where a poke may go) and C (nothing is left behind).
#include "vmm/debug/guest_bytes.h"

#include <gtest/gtest.h>

#include "tests/uvm/pin_fixture.h"
#include "vmm/debug/overlay.h"
#include "vmm/machine/guest_memory.h"

namespace test {
namespace guest_bytes_test {

using uvm::ErrorKind;
using vmm::debug::GuestBytes;
using vmm::debug::Overlay;

constexpr std::byte kTrap{0xcc};

class BreakpointsInGuestMemory : public PinFixture {
 protected:
  uvm::Status plant_at(std::initializer_list<uvm::Gpa> places) {
    for (const uvm::Gpa place : places) UVMM_CHECK(overlay.want(place, place.value()));
    return overlay.plant();
  }
  uvm::Status lift_all() {
    overlay.unwant_all();
    return overlay.plant();
  }
  std::size_t private_pages() const { return guest.mmu.private_pages(); }

  GuestBytes memory{space};
  Overlay overlay{memory};
};

TEST_F(BreakpointsInGuestMemory, InReadOnlyTextLeaveFileAndPrivateCountAsTheyWere) {
  EXPECT_OK(space.map(text(pages(0, 4), object(4))));
  pager->store().set_writable(false);
  EXPECT_OK(plant_at({page(1) + 7, page(1) + 9, page(3)}));
  EXPECT_EQ(guest.byte_at(page(1) + 7), kTrap);
  EXPECT_EQ(private_pages(), 2U);
  EXPECT_TRUE(is_pattern(pager->store().page(1), 101)) << "the file was written";
  std::vector<std::byte> seen(kPage);
  EXPECT_OK(memory.read(page(1), seen));
  overlay.hide(page(1), seen);
  EXPECT_TRUE(is_pattern(seen, 101));
  EXPECT_OK(lift_all());
  EXPECT_EQ(private_pages(), 0U) << "a page was not shared again";
  EXPECT_EQ(guest.byte_at(page(1) + 7), pattern(kPage, 101)[7]);
}

TEST_F(BreakpointsInGuestMemory, SetAndRemovedAHundredTimesLeaveNothing) {
  EXPECT_OK(space.map(text(pages(0, 4), object(4))));
  for (int i = 0; i < 100; ++i) {
    EXPECT_OK(plant_at({page(2) + static_cast<std::uint64_t>(i)}));
    EXPECT_OK(lift_all());
  }
  EXPECT_EQ(private_pages(), 0U);
}

TEST_F(BreakpointsInGuestMemory, InAPinnedPageOfOursAreWrittenWhereTheDeviceLooks) {
  EXPECT_OK(space.map(ram(pages(0, 4))));
  const auto held = pin(pages(0, 4), uvm::PinAccess::Write);
  ASSERT_TRUE(is_ok(held));
  const std::size_t before = private_pages();
  EXPECT_OK(plant_at({page(2) + 5}));
  EXPECT_EQ(guest.byte_at(page(2) + 5), kTrap);
  EXPECT_TRUE(uses_pinned_frames(guest, *held)) << "the device looks at another page now";
  EXPECT_OK(lift_all());
  EXPECT_EQ(private_pages(), before);
  EXPECT_EQ(guest.byte_at(page(2) + 5), std::byte{0});
}

TEST_F(BreakpointsInGuestMemory, InMemoryThatOthersSeeAreRefusedUnlessMeant) {
  auto shared = over(pages(0, 4), object(4));
  shared.sharing = uvm::Sharing::Shared;
  EXPECT_OK(space.map(shared));
  EXPECT_ERROR(plant_at({page(1)}), ErrorKind::Protection);
  EXPECT_EQ(overlay.refused(), page(1));
  EXPECT_TRUE(is_pattern(pager->store().page(1), 101));
  memory.allow_shared_writes(uvm::SharedWrites::Allow);
  EXPECT_OK(overlay.plant());
  EXPECT_EQ(pager->store().page(1)[0], kTrap);
  EXPECT_OK(lift_all());
  EXPECT_TRUE(is_pattern(pager->store().page(1), 101));
}

TEST_F(BreakpointsInGuestMemory, InTheMachinesOwnRamNeedNoPermission) {
  auto own = over(pages(0, 4), object(4));
  own.sharing = uvm::Sharing::Shared;
  own.name = vmm::GuestMemory::kRamName;
  EXPECT_OK(space.map(own));
  EXPECT_OK(plant_at({page(1)}));
  EXPECT_OK(lift_all());
}

TEST_F(BreakpointsInGuestMemory, InAHoleAreRefusedAtOnce) {
  EXPECT_OK(space.map(ram(pages(0, 2))));
  EXPECT_ERROR(overlay.want(page(5), 0), ErrorKind::NoMapping);
}

}  // namespace guest_bytes_test
}  // namespace test

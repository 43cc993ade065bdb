// Pins on real host memory: the frames of the host stay, whatever files, forks, pokes and lost translations
// do. A frame is compared by its number where the kernel tells it, and by its bytes always.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <random>
#include <thread>

#include "ept/host/file_object.h"
#include "ept/host/frozen_object.h"
#include "tests/ept/temp_file.h"
#include "uvm/access.h"
#include "uvm/pin.h"
#include "uvm/space.h"

namespace ept {
namespace pins_on_host_test {

using namespace test;
using uvm::Access;
using uvm::AccessKind;
using uvm::ErrorKind;
using uvm::Pin;
using uvm::PinAccess;

constexpr std::uint64_t kPages = 32;  // of each mapping

/// Physical page numbers behind a range of the window, 0 where none is present; all 0 for users who are not
/// told.
std::vector<std::uint64_t> host_frames(Pmap& pmap, uvm::GpaRange range) {
  const host::UniqueFd pagemap(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  std::vector<std::uint64_t> frames;
  for (uvm::Gpa at = range.begin(); at < range.end(); at += kPage) {
    const auto address = reinterpret_cast<std::uint64_t>(pmap.bytes(uvm::GpaRange::page_of(at)).data());
    std::uint64_t word = 0;
    const auto offset = static_cast<off_t>(address / kPage * sizeof(word));
    EXPECT_EQ(::pread(pagemap.get(), &word, sizeof word, offset), static_cast<ssize_t>(sizeof word));
    const bool present = (word >> 63) != 0;
    frames.push_back(present ? word & ((std::uint64_t{1} << 55) - 1) : 0);
  }
  return frames;
}

class PinsOnHost : public testing::Test {
 protected:
  void SetUp() override {
    pmap_ = make_pmap(pages(0, 8 * kPages));
    space_ = *uvm::Space::create("guest", *pmap_, pages(0, 8 * kPages));
  }
  static std::shared_ptr<uvm::Object> object_of(std::shared_ptr<uvm::Pager> pager) {
    return uvm::Object::create(std::move(pager));
  }
  std::shared_ptr<uvm::Object> file_object() const {
    return object_of(std::shared_ptr<uvm::Pager>(*host::FileObject::open(file_.path())));
  }
  static uvm::MapRequest request(uvm::GpaRange range, std::shared_ptr<uvm::Object> object,
                                 uvm::Sharing sharing = uvm::Sharing::Private) {
    uvm::MapRequest made;
    made.range = range;
    made.object = std::move(object);
    made.sharing = sharing;
    made.name = "m";
    return made;
  }
  Pin pin(uvm::GpaRange range, PinAccess access = PinAccess::Write) {
    auto made = Pin::create(*space_, range, access, owner_);
    EXPECT_TRUE(made) << made.error().text();
    return std::move(*made);
  }
  std::byte read(std::uint64_t number) { return read(*space_, number); }
  static std::byte read(uvm::Space& space, std::uint64_t number) {
    const auto byte = Access::read_value<std::byte>(space, page(number));
    EXPECT_TRUE(byte) << byte.error().text();
    return byte ? *byte : std::byte{0};
  }
  void write(std::uint64_t number, std::byte value) {
    EXPECT_OK(Access::write_value(*space_, page(number), value));
  }
  /// Translations go, as often as anybody likes, and come back by faults.
  void shake(uvm::GpaRange range) {
    space_->drop_translations();
    pmap_->remove(range);
    for (std::uint64_t i = range.begin().page(); i < range.end().page(); ++i) {
      EXPECT_OK(space_->fault(page(i), AccessKind::Read));
      (void)load(*pmap_, i);  // so that the host has it mapped again
    }
  }

  const TempFile file_{TempFile::patterned(kPages)};
  const std::shared_ptr<uvm::PinOwner> owner_ = uvm::PinOwner::create("disk");
  std::unique_ptr<Pmap> pmap_;
  std::unique_ptr<uvm::Space> space_;
};

TEST_F(PinsOnHost, APrivateMappingOfAFileKeepsWhatIsPinnedWhenTheFileIsCut) {
  ASSERT_OK(space_->map(request(pages(0, kPages), file_object())));
  write(2, std::byte{0xee});
  const auto pinned = pages(0, kPages / 2);
  auto held = pin(pinned);
  ASSERT_EQ(held.runs().size(), 1U);
  EXPECT_EQ(held.runs().front().object, nullptr);
  const auto frames = host_frames(*pmap_, pinned);
  file_.resize(0);
  EXPECT_EQ(host_frames(*pmap_, pinned), frames);
  for (std::uint64_t i = 0; i < kPages / 2; ++i) {
    const std::byte expected = i == 2 ? std::byte{0xee} : pattern_of(i);
    EXPECT_EQ(load(*pmap_, i), expected) << i;  // raw, as a device would: no signal
    EXPECT_EQ(read(i), expected) << i;
  }
  write(5, std::byte{0x55});
  EXPECT_EQ(host_frames(*pmap_, pinned), frames);
  const auto lost = Access::read_value<std::byte>(*space_, page(kPages - 1));
  EXPECT_EQ(kind_of(lost), ErrorKind::PagerIo);
  // Without translations as well: what is lost becomes events, what is pinned comes back.
  EXPECT_EQ(kind_of(space_->drop_lost()), ErrorKind::PagerIo);
  shake(pinned);
  EXPECT_EQ(read(2), std::byte{0xee});
  EXPECT_EQ(read(5), std::byte{0x55});
  EXPECT_EQ(read(6), pattern_of(6));
}

TEST_F(PinsOnHost, PinnedTextIsACopyOfTheFile) {
  auto text = request(pages(0, kPages), file_object());
  text.protection = text.max_protection = uvm::Protection::ReadExecute;
  ASSERT_OK(space_->map(text));
  EXPECT_EQ(read(3), pattern_of(3));
  auto held = pin(pages(3, 2), PinAccess::Read);
  EXPECT_EQ(held.frame_at(page(3)).store->name(), "window");
  const auto frames = host_frames(*pmap_, pages(3, 2));
  file_.resize(0);
  EXPECT_EQ(read(3), pattern_of(3));
  EXPECT_EQ(read(4), pattern_of(4));
  EXPECT_EQ(host_frames(*pmap_, pages(3, 2)), frames);
  EXPECT_EQ(kind_of(Access::read_value<std::byte>(*space_, page(5))), ErrorKind::PagerIo);
  EXPECT_EQ(kind_of(Access::write_value(*space_, page(3), 1)), ErrorKind::Protection);
}

TEST_F(PinsOnHost, APinOfASharedMappingOfAFileIsAsGoodAsTheFile) {
  auto shared = request(pages(0, kPages), file_object(), uvm::Sharing::Shared);
  shared.protection = shared.max_protection = uvm::Protection::ReadExecute;
  ASSERT_OK(space_->map(shared));
  {
    auto held = pin(pages(0, 4), PinAccess::Read);
    EXPECT_EQ(held.frame_at(page(3)).index, 3U);
    EXPECT_EQ(read(3), pattern_of(3));
    file_.resize(kPage);
    EXPECT_EQ(read(0), pattern_of(0));
    EXPECT_EQ(kind_of(Access::read_value<std::byte>(*space_, page(3))), ErrorKind::PagerIo);
  }
  EXPECT_TRUE(space_->pins().empty());
  EXPECT_EQ(owner_->pinned(), 0U);
}

TEST_F(PinsOnHost, ARamObjectsPagesStayAndAreTheObjects) {
  const std::shared_ptr<host::RamObject> ram(make_object(kPages));
  ASSERT_OK(space_->map(request(pages(0, kPages), object_of(ram), uvm::Sharing::Shared)));
  const auto range = pages(4, 8);
  auto held = pin(range);
  EXPECT_EQ(held.frame_at(page(5)), (uvm::Frame{ram.get(), 5}));
  for (std::uint64_t i = 4; i < 12; ++i) EXPECT_EQ(read(i), pattern_of(i));
  const auto frames = host_frames(*pmap_, range);
  shake(range);
  EXPECT_EQ(host_frames(*pmap_, range), frames);
  // Through the descriptor, as a device in another process sees it.
  write(5, std::byte{0x77});
  EXPECT_EQ(stored_byte(*ram, 5), std::byte{0x77});
  const std::byte dma{0x78};
  ASSERT_EQ(::pwrite(ram->fd(), &dma, 1, static_cast<off_t>(6 * kPage)), 1);
  EXPECT_EQ(read(6), dma);
}

TEST_F(PinsOnHost, AnotherSpacesPokeReplacesNoPinnedFrame) {
  // The story of 2001: text wired by one, poked by another.
  const auto ram = object_of(std::shared_ptr<uvm::Pager>(make_object(kPages)));
  auto text = request(pages(0, kPages), ram);
  text.protection = uvm::Protection::ReadExecute;
  ASSERT_OK(space_->map(text));
  auto other_pmap = make_pmap(pages(0, kPages));
  auto other = *uvm::Space::create("other", *other_pmap, pages(0, kPages));
  ASSERT_OK(other->map(text));
  EXPECT_EQ(read(*other, 7), pattern_of(7));
  auto held = pin(pages(6, 4), PinAccess::Read);
  const auto frames = host_frames(*pmap_, pages(6, 4));
  ASSERT_OK(other->protect(pages(7, 1), uvm::Protection::All));
  ASSERT_OK(Access::write_value(*other, page(7), std::byte{0xcc}));
  EXPECT_EQ(read(*other, 7), std::byte{0xcc});
  EXPECT_EQ(read(7), pattern_of(7));
  EXPECT_EQ(host_frames(*pmap_, pages(6, 4)), frames);
  shake(pages(6, 4));
  EXPECT_EQ(read(7), pattern_of(7));
  // And our own debugger's goes into the pinned frame.
  ASSERT_OK(space_->protect(pages(7, 1), uvm::Protection::All));
  write(7, std::byte{0xdd});
  EXPECT_EQ(load(*pmap_, 7), std::byte{0xdd});
  EXPECT_EQ(read(*other, 7), std::byte{0xcc});
}

TEST_F(PinsOnHost, AForkLeavesPinnedFramesToTheirOwner) {
  ASSERT_OK(space_->map(request(pages(0, kPages), nullptr)));
  ASSERT_OK(space_->map(request(pages(kPages, kPages), file_object())));
  write(3, std::byte{0x33});
  write(kPages + 3, std::byte{0x34});
  auto anonymous = pin(pages(2, 4));
  auto of_file = pin(pages(kPages + 2, 4));
  const auto frames = host_frames(*pmap_, pages(2, 4));
  const auto file_frames = host_frames(*pmap_, pages(kPages + 2, 4));
  auto child_pmap = make_pmap(pages(0, 8 * kPages));
  auto child = space_->fork("child", *child_pmap);
  ASSERT_OK(child);
  EXPECT_EQ(host_frames(*pmap_, pages(2, 4)), frames);
  EXPECT_EQ(host_frames(*pmap_, pages(kPages + 2, 4)), file_frames);
  // The device goes on writing its frames; the child does not see it, nor does it lose what it was given.
  store(*pmap_, 3, std::byte{0x43});
  store(*pmap_, kPages + 3, std::byte{0x44});
  EXPECT_EQ(read(3), std::byte{0x43});
  EXPECT_EQ(read(kPages + 3), std::byte{0x44});
  EXPECT_EQ(read(**child, 3), std::byte{0x33});
  EXPECT_EQ(read(**child, kPages + 3), std::byte{0x34});
  EXPECT_EQ(host_frames(*pmap_, pages(2, 4)), frames);
}

TEST_F(PinsOnHost, WhatIsRememberedOfPinnedPagesEndsWithThePages) {
  const auto buffers = pages(2, 4);
  const auto private_pages = [&] {
    std::uint64_t count = 0;
    pmap_->harvest(buffers, [&](uvm::GpaRange run, uvm::Frame) { count += run.pages(); });
    return count;
  };
  const auto pin_twice = [&] {
    for (int i = 0; i < 3; ++i) EXPECT_EQ(pin(buffers).runs().size(), 1U);
    EXPECT_EQ(private_pages(), 4U);
  };
  ASSERT_OK(space_->map(request(pages(0, kPages), nullptr)));
  for (std::uint64_t i = 0; i < kPages; ++i) write(i, std::byte{0x11});
  pin_twice();
  ASSERT_OK(space_->discard(pages(3, 1)));
  EXPECT_EQ(private_pages(), 3U);
  EXPECT_EQ(read(3), std::byte{0});
  pin_twice();
  ASSERT_OK(space_->protect(buffers, uvm::Protection::None));
  ASSERT_OK(space_->protect(buffers, uvm::Protection::All));
  pin_twice();
  {
    auto child_pmap = make_pmap(pages(0, 8 * kPages));
    auto child = space_->fork("child", *child_pmap);
    ASSERT_OK(child);
    EXPECT_EQ(private_pages(), 0U) << "two spaces have them";
    write(4, std::byte{0x44});
    EXPECT_EQ(read(**child, 4), std::byte{0x11});
    for (int i = 0; i < 3; ++i) (void)pin(buffers);
    write(5, std::byte{0x55});
    EXPECT_EQ(load(*pmap_, 5), std::byte{0x55});
    EXPECT_EQ(read(**child, 5), std::byte{0x11});
  }
  EXPECT_EQ(read(4), std::byte{0x44});
  ASSERT_OK(space_->unmap(pages(0, kPages)));
  EXPECT_EQ(private_pages(), 0U);
  ASSERT_OK(space_->map(request(pages(0, kPages), nullptr)));
  EXPECT_EQ(private_pages(), 0U);
  pin_twice();
  for (std::uint64_t i = 0; i < kPages; ++i) EXPECT_EQ(read(i), std::byte{0}) << i;
}

TEST_F(PinsOnHost, SettledPagesGoOnAsPrivatePagesWhenThePinHasEnded) {
  ASSERT_OK(space_->map(request(pages(0, kPages), file_object())));
  write(4, std::byte{0x44});
  { auto held = pin(pages(4, 2)); }
  shake(pages(0, kPages));
  EXPECT_EQ(read(4), std::byte{0x44});
  EXPECT_EQ(read(5), pattern_of(5));
  ASSERT_OK(space_->protect(pages(0, kPages), uvm::Protection::Read));
  EXPECT_EQ(kind_of(Access::write_value(*space_, page(4), 1)), ErrorKind::Protection);
  ASSERT_OK(space_->protect(pages(0, kPages), uvm::Protection::All));
  write(5, std::byte{0x55});
  EXPECT_EQ(file_.byte_at(5 * kPage), static_cast<char>(pattern_of(5)));
  // A fork moves them to where two spaces can use them; what was behind them shows through for nobody.
  {
    auto child_pmap = make_pmap(pages(0, 8 * kPages));
    auto child = space_->fork("child", *child_pmap);
    ASSERT_OK(child);
    write(4, std::byte{0x45});
    EXPECT_EQ(read(**child, 4), std::byte{0x44});
    EXPECT_EQ(read(**child, 5), std::byte{0x55});
    EXPECT_EQ(read(**child, 6), pattern_of(6));
    EXPECT_EQ(read(4), std::byte{0x45});
    EXPECT_EQ(read(5), std::byte{0x55});
  }
  EXPECT_EQ(read(6), pattern_of(6));
  ASSERT_OK(space_->unmap(pages(0, kPages)));
  ASSERT_OK(space_->map(request(pages(0, kPages), file_object())));
  for (std::uint64_t i = 0; i < kPages; ++i) EXPECT_EQ(read(i), pattern_of(i)) << i;
}

TEST_F(PinsOnHost, WhoReadsWhileAPageSettlesNeverFindsItGone) {
  // As KVM reads a guest's page tables: an address that cannot be read is a page fault of the guest's.
  constexpr std::uint64_t kMany = 2048;
  constexpr std::uint64_t kChunk = 16;  // pages that settle together
  const TempFile large(TempFile::patterned(kMany));
  auto pmap = make_pmap(pages(0, kMany));
  auto space = *uvm::Space::create("large", *pmap, pages(0, kMany));
  ASSERT_OK(space->map(request(
      pages(0, kMany), object_of(std::shared_ptr<uvm::Pager>(*host::FileObject::open(large.path()))))));
  ASSERT_OK(space->fault(page(0), AccessKind::Read));
  std::atomic<std::uint64_t> at{0};
  std::atomic<std::uint64_t> unreadable{0};
  std::atomic<std::uint64_t> wrong{0};
  std::jthread reader([&](const std::stop_token& stop) {
    const host::UniqueFd nowhere(::open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    while (!stop.stop_requested()) {
      const std::uint64_t number = at;
      char byte = 0;
      // The kernel's own read of our memory: an error where we should get a signal.
      if (::pwrite(nowhere.get(), pmap->bytes(pages(number, 1)).data(), 1, 0) != 1) {
        ++unreadable;
      } else if (::pread(nowhere.get(), &byte, 1, 0) != 1 || std::byte(byte) != pattern_of(number)) {
        ++wrong;
      }
    }
  });
  std::vector<Pin> held;
  for (std::uint64_t number = 0; number < kMany; number += kChunk) {
    at = number + 1;
    auto made = Pin::create(*space, pages(number, 1), PinAccess::Write, owner_);
    ASSERT_OK(made);
    held.push_back(std::move(*made));
  }
  reader.request_stop();
  reader.join();
  EXPECT_EQ(unreadable, 0U);
  EXPECT_EQ(wrong, 0U);
}

TEST_F(PinsOnHost, AFileThatIsKeptIsPinnedWhereItIs) {
  auto kept = host::FileObject::open(file_.path(), host::FileAccess::ReadOnly, uvm::Tenure::Kept);
  ASSERT_OK(kept);
  ASSERT_OK(space_->map(request(pages(0, kPages), object_of(std::shared_ptr<uvm::Pager>(*std::move(kept))))));
  write(2, std::byte{0xee});
  const std::uint64_t runs = pmap_->run_count();
  auto held = pin(pages(2, 2));
  EXPECT_EQ(pmap_->run_count(), runs) << "no host mapping of their own";
  const auto frames = host_frames(*pmap_, pages(2, 2));
  shake(pages(0, kPages));
  write(3, std::byte{0x33});
  EXPECT_EQ(host_frames(*pmap_, pages(2, 2)), frames);
  EXPECT_EQ(read(2), std::byte{0xee});
  EXPECT_EQ(read(4), pattern_of(4));
  EXPECT_EQ(file_.byte_at(3 * kPage), static_cast<char>(pattern_of(3)));
}

TEST_F(PinsOnHost, AReleasedSettledPageShowsTheFileAgain) {
  auto object = host::FileObject::open(file_.path());
  ASSERT_OK(object);
  ASSERT_OK(pmap_->enter(copy_on_write(pages(0, kPages), {object->get(), 0})));
  store(*pmap_, 20, std::byte{0x20});
  ASSERT_OK(pmap_->settle(std::array{pages(16, 16)}));
  EXPECT_EQ(load(*pmap_, 20), std::byte{0x20});
  pmap_->release(*pmap_->harvest_page(page(20)));
  EXPECT_FALSE(pmap_->harvest_page(page(20)));
  EXPECT_FALSE(pmap_->extract(page(20)));
  ASSERT_OK(pmap_->enter(copy_on_write(pages(0, kPages), {object->get(), 0})));
  EXPECT_EQ(load(*pmap_, 20), pattern_of(20));
  EXPECT_EQ(load(*pmap_, 21), pattern_of(21));
}

TEST_F(PinsOnHost, PinsOfScatteredPagesOfAFileTakeFewHostMappings) {
  constexpr std::uint64_t kMany = 512;
  const TempFile large(TempFile::patterned(kMany));
  auto pmap = make_pmap(pages(0, kMany));
  auto space = *uvm::Space::create("large", *pmap, pages(0, kMany));
  ASSERT_OK(space->map(request(
      pages(0, kMany), object_of(std::shared_ptr<uvm::Pager>(*host::FileObject::open(large.path()))))));
  std::vector<std::uint64_t> order;
  for (std::uint64_t i = 0; i < kMany; i += 2) order.push_back(i);
  std::mt19937 random(7);
  std::shuffle(order.begin(), order.end(), random);
  std::vector<Pin> held;
  std::uint64_t most = 0;
  for (const std::uint64_t number : order) {
    auto made = Pin::create(*space, pages(number, 1), PinAccess::Write, owner_);
    ASSERT_OK(made);
    held.push_back(std::move(*made));
    most = std::max(most, pmap->run_count());
  }
  EXPECT_LE(most, kMany / 16 + 8);
  large.resize(0);
  for (std::uint64_t i = 0; i < kMany; ++i) ASSERT_EQ(load(*pmap, i), pattern_of(i)) << i;
}

TEST_F(PinsOnHost, AFrozenObjectIsPinnedWithoutACopyWhereItIsOnlyRead) {
  const std::vector<std::byte> bytes(kPages * kPage, std::byte{'z'});
  const auto frozen = std::shared_ptr<uvm::Pager>(*host::FrozenObject::from_bytes("z", bytes));
  auto text = request(pages(0, kPages), object_of(frozen));
  text.protection = text.max_protection = uvm::Protection::ReadExecute;
  ASSERT_OK(space_->map(text));
  auto held = pin(pages(1, 3), PinAccess::Read);
  EXPECT_EQ(held.frame_at(page(2)).index, 2U);
  EXPECT_EQ(held.frame_at(page(2)).store->name(), "frozen z");
  EXPECT_EQ(read(2), std::byte{'z'});
  const auto frames = host_frames(*pmap_, pages(2, 1));
  shake(pages(0, kPages));
  EXPECT_EQ(read(2), std::byte{'z'});
  EXPECT_EQ(host_frames(*pmap_, pages(2, 1)), frames);
}

}  // namespace pins_on_host_test
}  // namespace ept

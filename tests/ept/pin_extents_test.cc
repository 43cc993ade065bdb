// Pins that another process uses: it maps the extents, and both sides see every byte the other one writes.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "ept/host/file_object.h"
#include "ept/pin_extents.h"
#include "tests/ept/child.h"
#include "tests/ept/ept_support.h"
#include "tests/ept/temp_file.h"
#include "uvm/access.h"
#include "uvm/space.h"

namespace ept {
namespace pin_extents_test {

using namespace test;
using uvm::Access;
using uvm::Pin;
using uvm::Placement;

class PinExtents : public testing::Test {
 protected:
  void SetUp() override {
    pmap_ = make_pmap(pages(0, 64));
    space_ = *uvm::Space::create("guest", *pmap_, pages(0, 64));
    uvm::MapRequest ram;
    ram.range = pages(0, 16);
    ram.name = "ram";
    ram.object = uvm::Object::create(ram_);
    ram.sharing = uvm::Sharing::Shared;
    ASSERT_OK(space_->map(ram));
    uvm::MapRequest kernel;
    kernel.range = pages(16, 16);
    kernel.name = "kernel";
    kernel.object = uvm::Object::create(std::shared_ptr<uvm::Pager>(*host::FileObject::open(file_.path())));
    ASSERT_OK(space_->map(kernel));
  }
  uvm::Result<Pin> share(uvm::GpaRange range, Placement placement = Placement::Shareable) {
    return Pin::create(
        *space_, range,
        {owner_, uvm::PinAccess::Write, uvm::ForkPolicy::Copy, placement, uvm::Patience::Sleep});
  }
  std::byte read(std::uint64_t number) { return *Access::read_value<std::byte>(*space_, page(number)); }
  void write(std::uint64_t number, std::byte value) {
    EXPECT_OK(Access::write_value(*space_, page(number), value));
  }

  const TempFile file_{TempFile::patterned(16)};
  const std::shared_ptr<host::RamObject> ram_ = make_object(16);
  const std::shared_ptr<uvm::PinOwner> owner_ = uvm::PinOwner::create("device");
  std::unique_ptr<Pmap> pmap_;
  std::unique_ptr<uvm::Space> space_;
};

/// The device: finds `old` in the first byte of each page, and writes `value` there.
int exchange(const std::vector<PinExtent>& extents, std::byte old, std::byte value) {
  for (const PinExtent& extent : extents) {
    auto* bytes = static_cast<std::byte*>(::mmap(nullptr, extent.range.size(), PROT_READ | PROT_WRITE,
                                                 MAP_SHARED, extent.fd, static_cast<off_t>(extent.offset)));
    if (bytes == MAP_FAILED) return 1;
    for (std::uint64_t at = 0; at < extent.range.size(); at += kPage) {
      if (bytes[at] != old) return 2;
      bytes[at] = value;
    }
  }
  return 0;
}

TEST_F(PinExtents, RamIsThePagesOfItsObject) {
  for (std::uint64_t i = 2; i < 6; ++i) write(i, std::byte{0x11});
  const auto pin = share(pages(2, 4));
  ASSERT_OK(pin);
  const auto extents = extents_of(*pin);
  ASSERT_OK(extents);
  ASSERT_EQ(extents->size(), 1U);
  EXPECT_EQ(extents->front().range, pages(2, 4));
  EXPECT_EQ(extents->front().offset, 2 * kPage);
  EXPECT_EQ(status_of_child([&] { return exchange(*extents, std::byte{0x11}, std::byte{0x22}); }), 0);
  for (std::uint64_t i = 2; i < 6; ++i) EXPECT_EQ(read(i), std::byte{0x22}) << i;
}

TEST_F(PinExtents, PrivatePagesMoveToWhereOthersCanMapThem) {
  for (std::uint64_t i = 20; i < 24; ++i) write(i, std::byte{0x33});
  EXPECT_EQ(load(*pmap_, 21), std::byte{0x33});
  const auto pin = share(pages(20, 4));
  ASSERT_OK(pin);
  const auto extents = extents_of(*pin);
  ASSERT_OK(extents);
  EXPECT_EQ(status_of_child([&] { return exchange(*extents, std::byte{0x33}, std::byte{0x44}); }), 0);
  for (std::uint64_t i = 20; i < 24; ++i) EXPECT_EQ(read(i), std::byte{0x44}) << i;
  for (std::uint64_t i = 20; i < 24; ++i) write(i, std::byte{0x55});
  space_->drop_translations();
  EXPECT_EQ(status_of_child([&] { return exchange(*extents, std::byte{0x55}, std::byte{0x66}); }), 0);
  for (std::uint64_t i = 20; i < 24; ++i) EXPECT_EQ(read(i), std::byte{0x66}) << i;
  EXPECT_EQ(read(19), pattern_of(3)) << "beside the pin the file shows";
}

TEST_F(PinExtents, OneThatSpansBothHasAnExtentOfEach) {
  const auto pin = share(pages(14, 4));
  ASSERT_OK(pin);
  const auto extents = extents_of(*pin);
  ASSERT_OK(extents);
  ASSERT_GE(extents->size(), 2U);
  EXPECT_EQ(extents->front().range, pages(14, 2));
  EXPECT_NE(extents->front().fd, extents->back().fd);
}

TEST_F(PinExtents, PrivateMemoryOfThisProcessHasNone) {
  write(20, std::byte{1});
  const auto pin = share(pages(20, 1), Placement::InPlace);
  ASSERT_OK(pin);
  EXPECT_EQ(kind_of(extents_of(*pin)), uvm::ErrorKind::Unsupported);
}

}  // namespace pin_extents_test
}  // namespace ept

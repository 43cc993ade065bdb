// The mapping calls by themselves, and userfaultfd.
#include "ept/host/window.h"

#include <gtest/gtest.h>
#include <sys/vfs.h>

#include <memory>

#include "ept/host/file_object.h"
#include "ept/host/uffd.h"
#include "tests/ept/ept_support.h"

namespace ept::host {
namespace window_test {

using test::kGiB;
using test::kMiB;
using test::kPage;
using test::pages;
using Access = Window::Access;

Window reserve(uvm::GpaRange covered) {
  auto window = Window::reserve(covered);
  EXPECT_TRUE(window) << window.error().text();
  return std::move(*window);
}

TEST(Window, BaseAndGuestAddressAgreeModulo1GiB) {
  for (const std::uint64_t begin : {std::uint64_t{0}, 5 * kPage, kGiB - kPage, 3 * kGiB + 2 * kMiB}) {
    const auto covered = *uvm::GpaRange::from_size(uvm::Gpa(begin), 3 * kMiB);
    const Window window = reserve(covered);
    EXPECT_EQ(window.base().value() % kGiB, begin % kGiB);
    EXPECT_EQ(window.hva(covered.end()) - window.base(), covered.size());
  }
}

TEST(Window, MoreThanTheAddressSpaceIsAnErrorThatSaysSo) {
  const auto window = Window::reserve(*uvm::GpaRange::from_size(uvm::Gpa(0), std::uint64_t{1} << 47));
  EXPECT_EQ(test::kind_of(window), uvm::ErrorKind::NoMemory);
}

TEST(Window, PopulatesWhatCanBeWrittenOnly) {
  Window window = reserve(pages(0, 8));
  EXPECT_EQ(test::kind_of(window.populate_write(pages(0, 1))), uvm::ErrorKind::Invalid) << "PROT_NONE";
  ASSERT_OK(window.map_zero(pages(0, 8), Access::Read, HugePages::Never));
  const auto read_only = window.populate_write(pages(0, 1));
  ASSERT_EQ(test::kind_of(read_only), uvm::ErrorKind::Invalid);
  EXPECT_NE(read_only.error().text().find("not writable"), std::string::npos);
  ASSERT_OK(window.set_access(pages(0, 8), Access::ReadWrite));
  ASSERT_OK(window.populate_write(pages(2, 3)));
}

TEST(Window, PagesMoveAcrossBordersOfKernelMappings) {
  Window from = reserve(pages(0, 16));
  Window to = reserve(pages(0, 16));
  const auto object = test::make_object(16);
  ASSERT_OK(from.map_zero(pages(0, 5), Access::ReadWrite, HugePages::Never));
  ASSERT_OK(from.map_private(pages(5, 6), *object, 5, Access::ReadWrite));
  ASSERT_OK(from.map_zero(pages(11, 5), Access::ReadWrite, HugePages::Never));
  for (std::uint64_t i = 0; i < 16; i += 2) from.bytes(pages(i, 1))[0] = std::byte{0x40};
  ASSERT_OK(from.move_pages_to(to, pages(0, 16)));
  for (std::uint64_t i = 0; i < 16; ++i) {
    const bool of_file = i >= 5 && i < 11;
    const std::byte behind = of_file ? test::pattern_of(i) : std::byte{0};
    EXPECT_EQ(to.bytes(pages(i, 1))[0], i % 2 == 0 ? std::byte{0x40} : behind) << i;
    EXPECT_EQ(from.bytes(pages(i, 1))[0], behind) << i << ": the mapping stays, its pages do not";
  }
}

TEST(Window, WhatIsKnownToBePrivateIsForgottenByEveryCallThatTakesPages) {
  Window window = reserve(pages(0, 16));
  Window other = reserve(pages(0, 16));
  const auto object = test::make_object(16);
  const auto remaining = [&](const char* call, const auto& take) {
    EXPECT_TRUE(window.map_zero(pages(0, 16), Access::ReadWrite, HugePages::Never));
    EXPECT_TRUE(other.map_zero(pages(0, 16), Access::ReadWrite, HugePages::Never));
    window.note_private(pages(0, 16));
    other.note_private(pages(0, 16));
    EXPECT_TRUE(take()) << call;
    EXPECT_FALSE(window.knows_private(pages(5, 1))) << call;
    EXPECT_FALSE(window.knows_private(pages(0, 16))) << call;
    EXPECT_TRUE(window.knows_private(pages(0, 4))) << call;
    EXPECT_TRUE(window.knows_private(pages(6, 10))) << call;
  };
  const auto part = pages(4, 2);
  remaining("map_zero", [&] { return window.map_zero(part, Access::ReadWrite, HugePages::Never); });
  remaining("map_private", [&] { return window.map_private(part, *object, 4, Access::ReadWrite); });
  remaining("map_shared", [&] { return window.map_shared(part, *object, 4, Access::ReadWrite); });
  remaining("unmap", [&] { return window.unmap(part); });
  remaining("drop_pages", [&] { return window.drop_pages(part); });
  remaining("move_pages_to", [&] { return window.move_pages_to(other, part); });
  EXPECT_FALSE(other.knows_private(part)) << "others came there";
  remaining("moved here", [&] { return other.move_pages_to(window, part); });

  window.note_private(pages(0, 16));
  ASSERT_OK(window.set_access(part, Access::Read));
  EXPECT_TRUE(window.knows_private(pages(0, 16))) << "no page goes";
}

TEST(Window, AReadOnlyFileCannotBeMappedForWriting) {
  auto object = FileObject::open("/proc/self/exe");
  ASSERT_TRUE(object) << object.error().text();
  Window window = reserve(pages(0, 1));
  EXPECT_EQ(test::kind_of(window.map_shared(pages(0, 1), **object, 0, Access::ReadWrite)),
            uvm::ErrorKind::Permission);
  ASSERT_OK(window.map_shared(pages(0, 1), **object, 0, Access::Read));
  EXPECT_EQ(window.bytes(pages(0, 1))[1], std::byte{'E'});
}

class UffdTest : public testing::Test {
 protected:
  void SetUp() override {
    auto uffd = Uffd::open();
    if (!uffd) GTEST_SKIP() << uffd.error().text();
    uffd_.emplace(std::move(*uffd));
  }
  std::optional<Uffd> uffd_;
};

TEST_F(UffdTest, FillsAbsentPagesOnce) {
  Window window = reserve(pages(0, 8));
  ASSERT_OK(window.map_zero(pages(0, 8), Access::ReadWrite, HugePages::Never));
  ASSERT_OK(uffd_->watch(window.hva(pages(0, 8)), Watch::Absent));
  std::vector<std::byte> bytes(2 * kPage + kPage, std::byte{5});
  void* place = bytes.data();
  std::size_t room = bytes.size();
  const auto* const aligned = static_cast<std::byte*>(std::align(kPage, 2 * kPage, place, room));
  ASSERT_NE(aligned, nullptr);
  ASSERT_OK(uffd_->copy(window.hva(pages(1, 2)), aligned, Wake::Yes));
  EXPECT_EQ(window.bytes(pages(2, 1))[kPage - 1], std::byte{5});
  EXPECT_EQ(test::kind_of(uffd_->copy(window.hva(pages(2, 1)), aligned, Wake::Yes)), uvm::ErrorKind::Busy);
  EXPECT_FALSE(uffd_->copy(window.hva(pages(20, 1)), aligned, Wake::Yes));
}

TEST_F(UffdTest, NobodyWaitsForEventsThatAreNotThere) {
  std::vector<UffdEvent> events(4);
  EXPECT_EQ(uffd_->read(events), 0u);
}

TEST_F(UffdTest, PrivateMappingsOfDiskFilesCannotBeWatched) {
  auto object = FileObject::open("/proc/self/exe");
  ASSERT_TRUE(object);
  struct statfs filesystem {};
  ASSERT_EQ(::fstatfs((*object)->fd(), &filesystem), 0);
  constexpr auto kTmpfs = 0x01021994;
  if (filesystem.f_type == kTmpfs) GTEST_SKIP() << "this test's program lies on a tmpfs";
  Window window = reserve(pages(0, 1));
  ASSERT_OK(window.map_private(pages(0, 1), **object, 0, Access::ReadWrite));
  EXPECT_FALSE(uffd_->watch(window.hva(pages(0, 1)), Watch::Unmapped));
}

}  // namespace window_test
}  // namespace ept::host

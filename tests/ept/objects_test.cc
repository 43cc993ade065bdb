// RAM objects and the arena: what stands behind a window.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "ept/host/arena.h"
#include "ept/host/pagemap.h"
#include "ept/host/ram_object.h"
#include "ept/host/tmpfs.h"
#include "tests/ept/child.h"
#include "tests/ept/ept_support.h"

namespace ept::host {
namespace objects_test {

using test::kMiB;
using test::kPage;

uvm::PagerRequest request(std::uint64_t offset, std::uint64_t count,
                          uvm::AccessKind access = uvm::AccessKind::Read) {
  return {uvm::ObjectOffset(offset), count, access};
}

TEST(RamObject, AnswersWithAllItHas) {
  const auto object = test::make_object(10);
  EXPECT_EQ(object->get(request(0, 100))->count, 10u);
  EXPECT_EQ(object->get(request(3 * kPage, 4))->count, 4u);
  const auto last = object->get(request(9 * kPage, 4));
  EXPECT_EQ(*last, (uvm::FrameRun{{object.get(), 9}, 1}));
  EXPECT_EQ(test::kind_of(object->get(request(10 * kPage, 1))), uvm::ErrorKind::EndOfObject);
}

TEST(RamObject, RefusesAbsurdSizes) {
  for (const std::uint64_t size : {std::uint64_t{0}, kPage + 1, ~std::uint64_t{0} & ~(kPage - 1)}) {
    const auto object = RamObject::create("bad", size, HugePages::Never);
    ASSERT_FALSE(object) << size;
    EXPECT_EQ(test::kind_of(object), uvm::ErrorKind::Invalid);
  }
}

TEST(RamObject, HugePagesAreHugeOrTheReasonIsSaid) {
  const auto object = RamObject::create("huge", 8 * kMiB, HugePages::Want);
  ASSERT_TRUE(object);
  if (!(*object)->has_huge_pages()) {
    EXPECT_FALSE((*object)->fallback_reason().empty());
    GTEST_SKIP() << (*object)->fallback_reason();
  }
  // Mapped through a pmap, which aligns the window.
  auto pmap = test::make_pmap(test::pages(0, 2048));
  ASSERT_OK(pmap->enter(test::exact(test::pages(0, 2048), {object->get(), 0})));
  test::store(*pmap, 0, std::byte{1});
  if (pmap->residency(test::pages(0, 2048)).huge == 0) GTEST_SKIP() << "the host has no free 2 MiB page";
  EXPECT_EQ(pmap->residency(test::pages(0, 2048)).huge, 2 * kMiB);
}

int make_poor() {
  if (::setresuid(65534, 65534, 65534) != 0) return 2;
  const auto object = RamObject::create("poor", 8 * kMiB, HugePages::Want);
  if (!object) return 3;
  if ((*object)->has_huge_pages() || (*object)->fallback_reason().empty()) return 4;
  const std::byte one{1};
  if (::pwrite((*object)->fd(), &one, 1, static_cast<off_t>(8 * kMiB - 1)) != 1) return 5;
  return 0;
}

TEST(RamObject, WithoutTheRightToMountItFallsBackToAMemfd) {
  if (::getuid() != 0) GTEST_SKIP() << "this user has no rights to give up";
  // A program that has not mounted it before.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(::_exit(make_poor()), testing::ExitedWithCode(0), "");
}

TEST(RamObject, WhoHasMountedItMayGiveUpTheRight) {
  const auto before = RamObject::create("rich", 8 * kMiB, HugePages::Want);
  ASSERT_TRUE(before);
  if (!(*before)->has_huge_pages()) GTEST_SKIP() << (*before)->fallback_reason();
  EXPECT_EQ(test::status_of_child([] { return make_poor(); }), 4 << 8) << "huge pages all the same";
}

TEST(RamObject, NobodyCanChangeTheSizeOfAMemfd) {
  const auto object = test::make_object(2);
  EXPECT_EQ(::ftruncate(object->fd(), 0), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::ftruncate(object->fd(), static_cast<off_t>(3 * kPage)), -1);
}

TEST(RamObject, NamesStayWithTheirObjects) {
  const auto a = test::make_object(1);
  const auto b = test::make_object(1);
  EXPECT_NE(a->serial(), b->serial());
  EXPECT_EQ(a->name(), "test");
}

TEST(Arena, HandsOutZerosAndTakesThemBack) {
  auto arena = Arena::create();
  ASSERT_TRUE(arena);
  std::vector<std::byte> page(kPage, std::byte{7});
  const uvm::Frame first = *(*arena)->allocate();
  const uvm::Frame second = *(*arena)->allocate();
  EXPECT_NE(first, second);
  EXPECT_EQ((*arena)->used(), 2u);
  ASSERT_OK((*arena)->write_page(first.index, page));
  EXPECT_EQ(test::stored_byte(**arena, first.index), std::byte{7});
  EXPECT_EQ(test::stored_byte(**arena, second.index), std::byte{0});
  (*arena)->free(first);
  EXPECT_EQ(*(*arena)->allocate(), first);
  EXPECT_EQ(test::stored_byte(**arena, first.index), std::byte{0});
}

TEST(Pagemap, ZerosThatWereOnlyReadAreNotPrivate) {
  constexpr std::uint64_t kCount = 64;
  void* const memory =
      ::mmap(nullptr, kCount * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  ASSERT_EQ(::madvise(memory, kCount * kPage, MADV_NOHUGEPAGE), 0);
  auto* const bytes = static_cast<volatile std::byte*>(memory);
  for (const std::uint64_t i : {7U, 8U, 63U}) bytes[i * kPage] = std::byte{1};
  const std::byte only_read = bytes[9 * kPage];
  EXPECT_EQ(only_read, std::byte{0});
  const auto range =
      *uvm::HvaRange::from_size(uvm::Hva(reinterpret_cast<std::uint64_t>(memory)), kCount * kPage);
  for (const MappingOf of : {MappingOf::Anonymous, MappingOf::File}) {
    std::vector<std::uint64_t> found;
    ASSERT_OK(scan_private_pages(range, of, [&](const PageRun& run) {
      EXPECT_TRUE(is_private(run));
      for (auto at = run.range.begin(); at < run.range.end(); at += kPage) {
        found.push_back((at - range.begin()) / kPage);
      }
    }));
    EXPECT_EQ(found, (std::vector<std::uint64_t>{7, 8, 63}));
  }
  ::munmap(memory, kCount * kPage);
}

TEST(Pagemap, BothSourcesFindTheSamePrivatePages) {
  const auto object = test::make_object(64);
  auto* memory = static_cast<std::byte*>(
      ::mmap(nullptr, 64 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, object->fd(), 0));
  ASSERT_NE(memory, MAP_FAILED);
  for (const int i : {3, 4, 40}) memory[static_cast<std::size_t>(i) * kPage] = std::byte{1};
  std::byte sink{};
  for (std::size_t i = 0; i < 64; ++i) sink = sink | memory[i * kPage];
  EXPECT_NE(sink, std::byte{0});
  const auto range = *uvm::HvaRange::from_size(uvm::Hva(reinterpret_cast<std::uint64_t>(memory)), 64 * kPage);
  for (const PagemapSource source : {PagemapSource::Best, PagemapSource::File}) {
    std::vector<std::uint64_t> found;
    ASSERT_OK(scan_private_pages(
        range, MappingOf::File,
        [&](const PageRun& run) {
          EXPECT_TRUE(is_private(run));
          for (std::uint64_t at = run.range.begin() - range.begin(); at < run.range.end() - range.begin();
               at += kPage) {
            found.push_back(at / kPage);
          }
        },
        source));
    EXPECT_EQ(found, (std::vector<std::uint64_t>{3, 4, 40}));
    std::uint64_t present = 0;
    ASSERT_OK(scan_pages(
        range, [&](const PageRun& run) { present += run.range.pages(); }, source));
    EXPECT_EQ(present, 64u);
  }
  ::munmap(memory, 64 * kPage);
}

}  // namespace objects_test
}  // namespace ept::host

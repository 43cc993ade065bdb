// RAM objects, file objects and the arena: what stands behind a window.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <fstream>

#include "ept/host/arena.h"
#include "ept/host/file_object.h"
#include "ept/host/pagemap.h"
#include "ept/host/ram_object.h"
#include "ept/host/tmpfs.h"
#include "tests/ept/ept_support.h"

namespace ept::host {
namespace {

using test::kMiB;
using test::kPage;

uvm::PagerRequest request(std::uint64_t offset, std::uint64_t count,
                          uvm::AccessKind access = uvm::AccessKind::Read) {
  return {uvm::ObjectOffset(offset), count, access};
}

class TempFile {
 public:
  explicit TempFile(const std::string& contents) {
    path_ = testing::TempDir() + "ept_file_XXXXXX";
    fd_ = ::mkstemp(path_.data());
    EXPECT_EQ(::write(fd_, contents.data(), contents.size()), static_cast<ssize_t>(contents.size()));
  }
  ~TempFile() {
    ::close(fd_);
    ::unlink(path_.c_str());
  }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  std::string path_;
  int fd_ = -1;
};

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

TEST(RamObject, NamesStayWithTheirObjects) {
  const auto a = test::make_object(1);
  const auto b = test::make_object(1);
  EXPECT_NE(a->serial(), b->serial());
  EXPECT_EQ(a->name(), "test");
}

TEST(FileObject, GivesPagesUpToTheLastPartialOne) {
  const TempFile file(std::string(2 * kPage + 5, 'x'));
  auto object = FileObject::open(file.path());
  ASSERT_TRUE(object) << object.error().text();
  EXPECT_EQ((*object)->size(), 2 * kPage + 5);
  EXPECT_EQ((*object)->get(request(0, 100))->count, 3u);
  EXPECT_EQ((*object)->get(request(2 * kPage, 1))->count, 1u);
  EXPECT_EQ(test::kind_of((*object)->get(request(3 * kPage, 1))), uvm::ErrorKind::EndOfObject);
  EXPECT_EQ(test::kind_of((*object)->get(request(0, 1, uvm::AccessKind::Write))), uvm::ErrorKind::Protection);
  EXPECT_EQ((*object)->max_protection(), uvm::Protection::ReadExecute);
  std::vector<std::byte> page(kPage, std::byte{9});
  ASSERT_OK((*object)->read_page(2, page));
  EXPECT_EQ(page[4], std::byte{'x'});
  EXPECT_EQ(page[5], std::byte{0});
  EXPECT_EQ(test::kind_of((*object)->read_page(3, page)), uvm::ErrorKind::EndOfObject);
}

TEST(FileObject, OpensRegularFilesOnly) {
  EXPECT_EQ(test::kind_of(FileObject::open("/nonexistent/kernel")), uvm::ErrorKind::NotFound);
  const std::string fifo = testing::TempDir() + "ept_fifo_" + std::to_string(::getpid());
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  for (const std::string& path : {std::string("/usr"), std::string("/dev/zero"), fifo}) {
    const auto object = FileObject::open(path);
    ASSERT_EQ(test::kind_of(object), uvm::ErrorKind::Invalid) << path;
    EXPECT_NE(object.error().text().find("regular file"), std::string::npos) << object.error().text();
  }
  ::unlink(fifo.c_str());
  const TempFile empty("");
  EXPECT_EQ(test::kind_of(FileObject::open(empty.path())), uvm::ErrorKind::Invalid);
}

TEST(FileObject, NoticesThatTheFileShrank) {
  const TempFile file(std::string(4 * kPage, 'x'));
  auto object = FileObject::open(file.path());
  ASSERT_TRUE(object);
  EXPECT_FALSE((*object)->changed_since_open());
  ASSERT_EQ(::ftruncate(file.fd(), static_cast<off_t>(kPage)), 0);
  EXPECT_TRUE((*object)->changed_since_open());
  EXPECT_EQ(test::kind_of((*object)->get(request(0, 1))), uvm::ErrorKind::PagerIo);
}

TEST(FileObject, IsNeverWritten) {
  std::string contents;
  for (int i = 0; i < 40000; ++i) contents += static_cast<char>('a' + i % 23);
  const TempFile file(contents);
  auto object = FileObject::open(file.path());
  ASSERT_TRUE(object);
  const std::uint64_t count = 10;
  auto pmap = test::make_pmap(test::pages(0, 64));
  ASSERT_OK(pmap->enter(test::copy_on_write(test::pages(3, count), {object->get(), 0})));
  for (std::uint64_t i = 0; i < count; ++i) {
    EXPECT_EQ(test::load(*pmap, 3 + i), static_cast<std::byte>(contents[i * kPage]));
    test::store(*pmap, 3 + i, std::byte{0xee});
  }
  EXPECT_EQ(test::harvested(*pmap, test::pages(0, 64)), std::vector{test::pages(3, count)});
  const auto write = pmap->enter(test::exact(test::pages(20, 1), {object->get(), 0}));
  EXPECT_EQ(test::kind_of(write), uvm::ErrorKind::Protection);
  ASSERT_OK(pmap->enter(test::exact(test::pages(20, 1), {object->get(), 0}, uvm::Protection::ReadExecute)));
  EXPECT_EQ(test::load(*pmap, 20), static_cast<std::byte>(contents[0]));
  pmap.reset();
  std::ifstream again(file.path());
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(again), {}), contents);
  EXPECT_FALSE((*object)->changed_since_open());
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
        range,
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

}  // namespace
}  // namespace ept::host

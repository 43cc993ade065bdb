// File objects: which files, which pages, which rights.
#include "ept/host/file_object.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/ept/temp_file.h"

namespace ept::host {
namespace file_object_test {

using test::kPage;
using test::TempFile;

uvm::PagerRequest request(std::uint64_t offset, std::uint64_t count,
                          uvm::AccessKind access = uvm::AccessKind::Read) {
  return {uvm::ObjectOffset(offset), count, access};
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
  file.resize(kPage + 1);
  EXPECT_TRUE((*object)->changed_since_open());
  EXPECT_EQ((*object)->size(), 4 * kPage);
  EXPECT_EQ((*object)->present_size(), kPage + 1);
  // What is there is given; what went is an error that names file and place.
  EXPECT_EQ((*object)->get(request(0, 4))->count, 2u);
  EXPECT_OK((*object)->check_page(1));
  const auto gone = (*object)->get(request(2 * kPage, 1));
  ASSERT_EQ(test::kind_of(gone), uvm::ErrorKind::PagerIo);
  EXPECT_EQ(gone.error().what(), "file " + file.path() + ": offset 0x2000 is gone: it was cut from " +
                                     std::to_string(4 * kPage) + " to " + std::to_string(kPage + 1) +
                                     " bytes while in use");
  EXPECT_EQ(test::kind_of((*object)->get(request(4 * kPage, 1))), uvm::ErrorKind::EndOfObject);
  file.resize(4 * kPage);
  EXPECT_OK((*object)->get(request(2 * kPage, 1)));
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

TEST(FileObject, GivesWhatItsDescriptorAllows) {
  const TempFile file(TempFile::patterned(2));
  const auto adopted = [&](int flags) {
    return FileObject::adopt(UniqueFd(::open(file.path().c_str(), flags | O_CLOEXEC)), file.path());
  };
  EXPECT_EQ((*adopted(O_RDONLY))->max_protection(), uvm::Protection::ReadExecute);
  EXPECT_EQ((*adopted(O_RDWR))->max_protection(), uvm::Protection::All);
  EXPECT_OK((*adopted(O_RDWR))->get(request(0, 1, uvm::AccessKind::Write)));
  EXPECT_EQ(test::kind_of(adopted(O_WRONLY)), uvm::ErrorKind::Permission);
  EXPECT_EQ(test::kind_of(adopted(O_PATH)), uvm::ErrorKind::Permission);
  EXPECT_EQ(test::kind_of(FileObject::adopt(UniqueFd(), "none")), uvm::ErrorKind::System);
}

TEST(FileObject, IsWrittenThroughASharedMappingWhenItWasOpenedForThat) {
  const TempFile file(TempFile::patterned(2));
  auto object = FileObject::open(file.path(), FileAccess::ReadWrite);
  ASSERT_OK(object);
  auto pmap = test::make_pmap(test::pages(0, 8));
  ASSERT_OK(pmap->enter(test::exact(test::pages(4, 2), {object->get(), 0})));
  test::store(*pmap, 5, std::byte{'w'});
  EXPECT_EQ(file.byte_at(kPage), 'w');
  EXPECT_EQ(test::harvested(*pmap, test::pages(0, 8)), std::vector<uvm::GpaRange>{});
}

}  // namespace file_object_test
}  // namespace ept::host

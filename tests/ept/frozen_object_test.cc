// Frozen objects: nobody writes them, here or elsewhere, and everybody may copy them.
#include "ept/host/frozen_object.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <array>

#include "ept/host/memfd.h"
#include "ept/host/tmpfs.h"
#include "tests/ept/child.h"
#include "tests/ept/temp_file.h"

namespace ept::host {
namespace frozen_object_test {

using test::kind_of;
using test::kPage;
using test::pages;
using uvm::ErrorKind;

uvm::PagerRequest request(std::uint64_t offset, uvm::AccessKind access = uvm::AccessKind::Read) {
  return {uvm::ObjectOffset(offset), 100, access};
}

/// Whether a byte can be written through the descriptor, or through one opened from it.
bool can_write(int fd) {
  const std::byte byte{0x66};
  if (::pwrite(fd, &byte, 1, 0) == 1) return true;
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  const UniqueFd again(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  return again.valid() && ::pwrite(again.get(), &byte, 1, 0) == 1;
}

TEST(FrozenObject, IsMadeFromBytes) {
  std::vector<std::byte> bytes(5000, std::byte{'b'});
  auto frozen = FrozenObject::from_bytes("bytes", bytes);
  ASSERT_OK(frozen);
  EXPECT_TRUE((*frozen)->sealed());
  EXPECT_EQ((*frozen)->name(), "frozen bytes");
  EXPECT_EQ((*frozen)->size(), 2 * kPage);
  EXPECT_EQ((*frozen)->max_protection(), uvm::Protection::ReadExecute);
  EXPECT_EQ(test::stored_byte(**frozen, 1), std::byte{'b'});
  EXPECT_EQ((*frozen)->get(request(0))->count, 2U);
  EXPECT_EQ(kind_of((*frozen)->get(request(2 * kPage))), ErrorKind::EndOfObject);
  EXPECT_EQ(kind_of((*frozen)->get(request(0, uvm::AccessKind::Write))), ErrorKind::Protection);
  EXPECT_FALSE(can_write((*frozen)->fd()));
  EXPECT_EQ(::ftruncate((*frozen)->fd(), 0), -1);
  EXPECT_EQ(kind_of(FrozenObject::from_bytes("nothing", {})), ErrorKind::Invalid);
}

TEST(FrozenObject, TakesTheWritersAwayFromRam) {
  const auto ram = test::make_object(4);
  auto frozen = FrozenObject::freeze(*ram, "ram");
  ASSERT_OK(frozen);
  EXPECT_TRUE((*frozen)->sealed());
  for (std::uint64_t i = 0; i < 4; ++i) EXPECT_EQ(test::stored_byte(**frozen, i), test::pattern_of(i));
  EXPECT_FALSE(can_write(ram->fd()));
  EXPECT_FALSE(can_write((*frozen)->fd()));
  EXPECT_EQ(ram->max_protection(), uvm::Protection::ReadExecute);
  EXPECT_EQ(kind_of(ram->get(request(0, uvm::AccessKind::Write))), ErrorKind::Protection);
  EXPECT_EQ(kind_of(FrozenObject::freeze(*ram, "again")), ErrorKind::Invalid);
  auto pmap = test::make_pmap(pages(0, 8));
  EXPECT_EQ(kind_of(pmap->enter(test::exact(pages(0, 1), {ram.get(), 0}))), ErrorKind::Protection);
}

class FrozenRam : public testing::TestWithParam<HugePages> {};

TEST_P(FrozenRam, IsSealedWhenTheLastWriterHasGone) {
  const auto ram = test::make_object(512, GetParam());
  if (GetParam() == HugePages::Want && !ram->has_huge_pages()) GTEST_SKIP() << ram->fallback_reason();
  auto pmap = test::make_pmap(pages(0, 512));
  ASSERT_OK(pmap->enter(test::exact(pages(0, 512), {ram.get(), 0})));
  test::store(*pmap, 3, std::byte{0x31});
  auto frozen = FrozenObject::freeze(*ram, "ram");
  ASSERT_OK(frozen);
  // The guest's mapping goes on until it is replaced, and is seen.
  EXPECT_FALSE((*frozen)->sealed());
  EXPECT_EQ(kind_of((*frozen)->seal()), ErrorKind::Busy);
  test::store(*pmap, 4, std::byte{0x32});
  EXPECT_EQ(test::stored_byte(**frozen, 4), std::byte{0x32});
  ASSERT_OK(pmap->enter(test::copy_on_write(pages(0, 512), {frozen->get(), 0})));
  ASSERT_OK((*frozen)->seal());
  EXPECT_TRUE((*frozen)->sealed());
  EXPECT_OK((*frozen)->seal());
  EXPECT_EQ(test::load(*pmap, 3), std::byte{0x31});
  test::store(*pmap, 3, std::byte{0x41});
  EXPECT_EQ(test::load(*pmap, 3), std::byte{0x41});
  EXPECT_EQ(test::stored_byte(**frozen, 3), std::byte{0x31});
}

INSTANTIATE_TEST_SUITE_P(Pages, FrozenRam, testing::Values(HugePages::Never, HugePages::Want),
                         [](const auto& pages_wanted) {
                           return pages_wanted.param == HugePages::Want ? "Huge" : "Small";
                         });

TEST(FrozenObject, IsSharedForReadingAndCopiedForWriting) {
  const std::vector<std::byte> bytes(8 * kPage, std::byte{'s'});
  auto frozen = *FrozenObject::from_bytes("s", bytes);
  auto pmap = test::make_pmap(pages(0, 32));
  EXPECT_EQ(kind_of(pmap->enter(test::exact(pages(0, 8), {frozen.get(), 0}))), ErrorKind::Protection);
  ASSERT_OK(pmap->enter(test::exact(pages(0, 8), {frozen.get(), 0}, uvm::Protection::ReadExecute)));
  ASSERT_OK(pmap->enter(test::copy_on_write(pages(8, 8), {frozen.get(), 0})));
  EXPECT_EQ(test::load(*pmap, 7), std::byte{'s'});
  test::store(*pmap, 9, std::byte{'p'});
  EXPECT_EQ(test::harvested(*pmap, pages(0, 32)), std::vector{pages(9, 1)});
  // Private pages come back, shared ones are found again.
  pmap->remove(pages(0, 16));
  ASSERT_OK(pmap->enter(test::exact(pages(0, 8), {frozen.get(), 0}, uvm::Protection::ReadExecute)));
  ASSERT_OK(pmap->enter(test::copy_on_write(pages(8, 8), {frozen.get(), 0})));
  pmap->drop_all();
  ASSERT_OK(pmap->enter(test::exact(pages(0, 8), {frozen.get(), 0}, uvm::Protection::ReadExecute)));
  EXPECT_EQ(test::load(*pmap, 0), std::byte{'s'});
  EXPECT_EQ(test::load(*pmap, 9), std::byte{'p'});
  EXPECT_EQ(test::stored_byte(*frozen, 1), std::byte{'s'});
}

/// One descriptor over a socket, as another process gets it.
bool send_fd(int socket, int fd) {
  std::byte byte{};
  iovec data{&byte, 1};
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &fd, sizeof(int));
  return ::sendmsg(socket, &message, 0) == 1;
}

UniqueFd receive_fd(int socket) {
  std::byte byte{};
  iovec data{&byte, 1};
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (::recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1) return UniqueFd();
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return UniqueFd();
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof(int));
  return UniqueFd(fd);
}

/// What the other process does: the same bytes, a private copy of its own, and no way to write.
int check_received(int socket) {
  auto object = FrozenObject::adopt(receive_fd(socket), "received");
  if (!object) return 1;
  if ((*object)->size() != 4 * kPage || !(*object)->sealed()) return 2;
  auto* memory = static_cast<std::byte*>(
      ::mmap(nullptr, 4 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, (*object)->fd(), 0));
  if (memory == MAP_FAILED) return 3;
  for (std::size_t i = 0; i < 4; ++i) {
    if (memory[i * kPage] != test::pattern_of(i)) return 4;
  }
  memory[0] = std::byte{0xff};
  if (::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, (*object)->fd(), 0) != MAP_FAILED) return 5;
  const std::byte byte{1};
  if (::pwrite((*object)->fd(), &byte, 1, 0) == 1) return 6;
  return 0;
}

TEST_P(FrozenRam, IsTheSameObjectInAnotherProcess) {
  std::array<int, 2> sockets{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()), 0);
  const UniqueFd ours(sockets[0]);
  const UniqueFd theirs(sockets[1]);
  const auto ram = test::make_object(4, GetParam());
  if (GetParam() == HugePages::Want && !ram->has_huge_pages()) GTEST_SKIP() << ram->fallback_reason();
  auto frozen = *FrozenObject::freeze(*ram, "ram");
  ASSERT_TRUE(frozen->sealed());
  ASSERT_TRUE(send_fd(ours.get(), frozen->fd()));
  EXPECT_EQ(test::status_of_child([&] { return check_received(theirs.get()); }), 0);
  EXPECT_EQ(test::stored_byte(*frozen, 0), test::pattern_of(0));
}

TEST(FrozenObject, AdoptsOnlyWhatNobodyWrites) {
  const auto adopt = [](int fd) { return kind_of(FrozenObject::adopt(UniqueFd(::dup(fd)), "fd")); };
  const auto memory = *make_memfd("loose", 2 * kPage);
  EXPECT_EQ(adopt(memory.get()), ErrorKind::Permission);
  const auto readable = *reopen_for_reading(memory.get(), "loose");
  EXPECT_EQ(adopt(readable.get()), ErrorKind::Permission);
  ASSERT_EQ(::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW), 0);
  EXPECT_EQ(adopt(memory.get()), std::nullopt);
  EXPECT_EQ(adopt(readable.get()), std::nullopt);
  const auto odd = *make_memfd("odd", kPage + 1);
  EXPECT_EQ(adopt(odd.get()), ErrorKind::Invalid);
  const test::TempFile file(test::TempFile::patterned(1));
  const UniqueFd of_disk(::open(file.path().c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(adopt(of_disk.get()) == ErrorKind::Invalid || adopt(of_disk.get()) == ErrorKind::Permission);
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(adopt(null.get()), ErrorKind::Invalid);
  EXPECT_EQ(kind_of(FrozenObject::adopt(UniqueFd(), "none")), ErrorKind::System);
}

TEST(FrozenObject, AdoptsAHugeFileWhenItsWriterHasGone) {
  auto huge = make_huge_file(4 * kPage);
  if (!huge) GTEST_SKIP() << huge.error().text();
  const auto readable = *reopen_for_reading(huge->get(), "huge");
  const auto adopt = [&] { return kind_of(FrozenObject::adopt(UniqueFd(::dup(readable.get())), "huge")); };
  EXPECT_EQ(adopt(), ErrorKind::Busy);
  huge->reset();
  EXPECT_EQ(adopt(), std::nullopt);
}

}  // namespace frozen_object_test
}  // namespace ept::host

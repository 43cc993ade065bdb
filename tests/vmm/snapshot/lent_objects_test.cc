#include "vmm/snapshot/lent_objects.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <utility>
#include <vector>

#include "ept/host/frozen_object.h"

namespace vmm::snapshot {
namespace lent_objects_test {

MemoryObject some_object() {
  auto object = ept::host::FrozenObject::from_bytes("lent", std::vector(uvm::kPageSize, std::byte{7}));
  EXPECT_TRUE(object);
  return MemoryObject(std::move(*object));
}

TEST(LentObjects, AreKeptAsLongAsSomebodyHasADescriptor) {
  LentObjects lent;
  auto fd = lent.lend(some_object());
  ASSERT_TRUE(fd) << fd.error().text();
  EXPECT_EQ(lent.objects().size(), 1U);
  EXPECT_TRUE(lent.let_go());
  const Fd copy(::dup(fd->get()));
  fd->reset();
  EXPECT_TRUE(lent.let_go()) << "a copy of the descriptor";
}

TEST(LentObjects, AreKeptAsLongAsSomebodyHasThemMapped) {
  LentObjects lent;
  auto fd = lent.lend(some_object());
  ASSERT_TRUE(fd) << fd.error().text();
  void* const view = ::mmap(nullptr, uvm::kPageSize, PROT_READ, MAP_PRIVATE, fd->get(), 0);
  ASSERT_NE(view, MAP_FAILED);
  fd->reset();
  EXPECT_TRUE(lent.let_go());
  ::munmap(view, uvm::kPageSize);
  EXPECT_FALSE(lent.let_go());
  EXPECT_TRUE(lent.objects().empty());
}

TEST(LentObjects, AreLetGoWhenTheProcessThatHadThemHasEnded) {
  LentObjects lent;
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  auto fd = lent.lend(some_object());
  ASSERT_TRUE(fd) << fd.error().text();
  const pid_t child = ::fork();
  if (child == 0) {
    char end = 0;
    ::close(ends[1]);
    ::_exit(static_cast<int>(::read(ends[0], &end, 1)));
  }
  fd->reset();
  EXPECT_TRUE(lent.let_go());
  ::close(ends[0]);
  ::close(ends[1]);
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(lent.let_go());
}

TEST(LentObjects, KeepOnlyWhatIsWanted) {
  LentObjects lent;
  const auto wanted = some_object();
  const auto one = lent.lend(wanted);
  const auto other = lent.lend(some_object());
  const auto again = lent.lend(wanted);
  EXPECT_EQ(lent.objects().size(), 2U);
  lent.keep_only({wanted});
  EXPECT_EQ(lent.objects(), std::vector{wanted});
}

}  // namespace lent_objects_test
}  // namespace vmm::snapshot

// Copies that end with an answer where memory was taken away, and signals that are not theirs.
#include "ept/host/guarded_copy.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <thread>
#include <vector>

#include "tests/ept/child.h"
#include "tests/ept/temp_file.h"
#include "tests/support/model/touch.h"
#include "uvm/base/sanitizers.h"

namespace ept::host {
namespace guarded_copy_test {

using test::kPage;
using test::TempFile;

/// Two pages of a file of which the second was cut off.
class GuardedCopy : public testing::Test {
 protected:
  void SetUp() override {
    memory_ = ::mmap(nullptr, 2 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file_.fd(), 0);
    ASSERT_NE(memory_, MAP_FAILED);
    bytes_ = {static_cast<std::byte*>(memory_), 2 * kPage};
    file_.resize(kPage);
  }
  void TearDown() override { ::munmap(memory_, 2 * kPage); }

  TempFile file_{TempFile::patterned(2)};
  void* memory_ = nullptr;
  std::span<std::byte> bytes_;
};

TEST_F(GuardedCopy, CopiesEveryLengthExactly) {
  std::vector<std::byte> from(300);
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<std::byte>(i * 7 + 1);
  for (std::size_t length = 0; length <= from.size(); ++length) {
    std::vector<std::byte> to(length + 16, std::byte{0xaa});
    ASSERT_EQ(guarded_copy(std::span(to).subspan(8, length), std::span(from).first(length)), Touched::Yes);
    std::vector<std::byte> expected(length + 16, std::byte{0xaa});
    std::copy_n(from.begin(), length, expected.begin() + 8);
    ASSERT_EQ(to, expected) << length << " bytes";
  }
}

TEST_F(GuardedCopy, AnswersWhereAFileWasCut) {
  std::array<std::byte, 64> buffer{};
  for (const std::size_t length : {1U, 2U, 4U, 8U, 3U, 64U}) {
    const auto small = std::span(buffer).first(length);
    EXPECT_EQ(guarded_copy(small, bytes_.subspan(kPage, length)), Touched::No) << length;
    EXPECT_EQ(guarded_copy(bytes_.subspan(kPage, length), small), Touched::No) << length;
    EXPECT_EQ(guarded_copy(small, bytes_.first(length)), Touched::Yes) << length;
  }
  // Into the lost page from the one before.
  EXPECT_EQ(guarded_copy(buffer, bytes_.subspan(kPage - 32, 64)), Touched::No);
  EXPECT_EQ(buffer[0], test::pattern_of(0));
}

TEST_F(GuardedCopy, AnswersWhereNothingIsMapped) {
  std::byte one{};
  ASSERT_EQ(::mprotect(memory_, kPage, PROT_NONE), 0);
  EXPECT_EQ(guarded_copy({&one, 1}, bytes_.first(1)), Touched::No);
}

TEST_F(GuardedCopy, WorksInManyThreadsAtOnce) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      std::byte one{};
      for (int round = 0; round < 2000; ++round) {
        if (guarded_copy({&one, 1}, bytes_.subspan(kPage, 1)) != Touched::No) ++wrong;
        if (guarded_copy({&one, 1}, bytes_.first(1)) != Touched::Yes) ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

/// A fault of somebody else's that does not come again: a page that could not be read from a disk just then.
bool fault_once(int number) {
  siginfo_t info{};
  info.si_signo = number;
  info.si_code = BUS_ADRERR;
  return ::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), ::gettid(), number, &info) == 0;
}

TEST_F(GuardedCopy, OutlivesAFaultOfOthersThatPassed) {
  if (uvm::kSanitized) GTEST_SKIP() << "a sanitizer owns these signals";
  const int status = test::status_of_child([&] {
    std::byte one{};
    for (int round = 0; round < 3; ++round) {
      if (guarded_copy({&one, 1}, bytes_.subspan(kPage, 1)) != Touched::No) return 1;
      for (const int number : {SIGBUS, SIGSEGV}) {
        if (!fault_once(number)) return 3;
      }
    }
    return guarded_copy({&one, 1}, bytes_.subspan(kPage, 1)) == Touched::No ? 0 : 2;
  });
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

/// The tests' vCPUs have a handler for the same signals.
TEST_F(GuardedCopy, SharesItsSignalsWithWhatTouchesMemoryForTests) {
  const int status = test::status_of_child([&] {
    std::byte one{};
    if (guarded_copy({&one, 1}, bytes_.subspan(kPage, 1)) != Touched::No) return 1;
    std::uint64_t value = 0;
    const auto* lost = reinterpret_cast<const std::uint64_t*>(bytes_.subspan(kPage).data());
    if (::test::model::touch_load(lost, value) != ::test::model::Touched::Faulted) return 2;
    return guarded_copy({&one, 1}, bytes_.subspan(kPage, 1)) == Touched::No ? 0 : 3;
  });
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST_F(GuardedCopy, LeavesASignalOfOthersToItsOwner) {
  if (uvm::kSanitized) GTEST_SKIP() << "a sanitizer owns these signals";
  // A touch without a guard dies as it always did. The handler is in place: the tests above put it there, or
  // this call does.
  std::byte one{};
  EXPECT_EQ(guarded_copy({&one, 1}, bytes_.subspan(kPage, 1)), Touched::No);
  int status = test::status_of_child([&] {
    *static_cast<volatile std::byte*>(bytes_.subspan(kPage).data()) = one;
    return 0;
  });
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS) << status;
  for (const int number : {SIGBUS, SIGSEGV}) {
    status = test::status_of_child([number] { return ::raise(number); });
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == number) << status;
  }
}

}  // namespace guarded_copy_test
}  // namespace ept::host

#include "vmm/kvm/fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace fd_test {

bool is_open(int number) {
  return ::fcntl(number, F_GETFD) >= 0;
}

vmm::Fd open_null() {
  return vmm::Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

TEST(Fd, closes_when_it_goes) {
  int number = -1;
  {
    const vmm::Fd fd = open_null();
    number = fd.get();
    EXPECT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(Fd, moving_leaves_one_owner) {
  vmm::Fd first = open_null();
  const int number = first.get();
  vmm::Fd second(std::move(first));
  EXPECT_EQ(second.get(), number);
  vmm::Fd third = open_null();
  const int replaced = third.get();
  third = std::move(second);
  EXPECT_EQ(third.get(), number);
  EXPECT_TRUE(is_open(number));
  EXPECT_FALSE(is_open(replaced));
}

TEST(Fd, release_keeps_the_number_open) {
  vmm::Fd fd = open_null();
  const int number = fd.release();
  EXPECT_FALSE(fd);
  EXPECT_TRUE(is_open(number));
  ::close(number);
}

TEST(Fd, closing_leaves_errno_for_the_error_path) {
  vmm::Fd fd(1'000'000);  // not open: close fails with EBADF
  errno = ENOMEM;
  fd.reset();
  EXPECT_EQ(errno, ENOMEM);
}

}  // namespace fd_test

// What a guest costs beside the others that run here: whom it asks, and how long it waits for them.
#include "vmm/control/census.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <list>
#include <string>

#include "tests/support/temp_folder.h"
#include "vmm/control/run_directory.h"
#include "vmm/pin_client/local_listener.h"

namespace vmm::control {
namespace census_test {

using std::chrono::milliseconds;

/// A process that listens at `count` sockets of the run directory and answers nobody.
class SilentMachines {
 public:
  explicit SilentMachines(int count) {
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_.data()), 0);
    child_ = ::fork();
    if (child_ == 0) listen_and_count(count, ends_[1]);
    ::close(ends_[1]);
    char ready = 0;
    EXPECT_EQ(::read(ends_[0], &ready, 1), 1);
  }
  ~SilentMachines() {
    ::close(ends_[0]);
    ::waitpid(child_, nullptr, 0);
  }
  SilentMachines(const SilentMachines&) = delete;
  SilentMachines& operator=(const SilentMachines&) = delete;

  /// At how many somebody has asked. Once.
  [[nodiscard]] int asked() const {
    char count = 0;
    EXPECT_EQ(::write(ends_[0], &count, 1), 1);
    EXPECT_EQ(::read(ends_[0], &count, 1), 1);
    return count;
  }

 private:
  [[noreturn]] static void listen_and_count(int count, int end) {
    std::list<pins::LocalListener> listeners;
    for (int i = 0; i < count; ++i) {
      const auto socket = default_socket("silent", 100 + i);
      if (!socket) ::_exit(1);
      auto listener = pins::LocalListener::open(*socket);
      if (!listener) ::_exit(1);
      listeners.push_back(*std::move(listener));
    }
    char asked = 0;
    if (::write(end, &asked, 1) != 1 || ::read(end, &asked, 1) != 1) ::_exit(1);
    for (const pins::LocalListener& listener : listeners) {
      const Fd client(::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC));
      if (client) ++asked;
    }
    static_cast<void>(::write(end, &asked, 1));
    ::_exit(0);
  }

  std::array<int, 2> ends_{};
  pid_t child_ = 0;
};

TEST(Census, DoesNotWaitForEachOfManyThatAreSilent) {
  const test::RunFolder folder("census");
  const SilentMachines machines(10);
  const auto census = take_census(ResidentPages(), {milliseconds(40), milliseconds(100)});
  ASSERT_TRUE(census);
  EXPECT_EQ(census->silent, 10U);
  EXPECT_EQ(census->guests, 1U);
  const int asked = machines.asked();
  EXPECT_GE(asked, 1);
  EXPECT_LE(asked, 3) << "each has 40 ms, and all have 100";
}

TEST(Census, OfAMomentAgoIsGivenAgain) {
  int taken = 0;
  const auto take = [&]() -> uvm::Result<Census> {
    Census census;
    census.guests = static_cast<std::size_t>(++taken);
    return census;
  };
  RecentCensus recent(take, std::chrono::hours(1));
  EXPECT_EQ(recent.get()->guests, 1U);
  EXPECT_EQ(recent.get()->guests, 1U);
  RecentCensus never_kept(take, milliseconds(0));
  EXPECT_EQ(never_kept.get()->guests, 2U);
  EXPECT_EQ(never_kept.get()->guests, 3U);
}

TEST(Census, ThatFailedIsTakenAgain) {
  int taken = 0;
  RecentCensus recent(
      [&]() -> uvm::Result<Census> {
        if (++taken == 1) return uvm::Error(uvm::ErrorKind::System, "not now");
        return Census();
      },
      std::chrono::hours(1));
  EXPECT_FALSE(recent.get());
  EXPECT_TRUE(recent.get());
  EXPECT_EQ(taken, 2);
}

TEST(Census, KnowsWhoseSocketItIsByItsName) {
  const SocketOwner owner = owner_of("/run/user/0/uvmm/a-b-123.sock");
  EXPECT_EQ(owner.name, "a-b");
  EXPECT_EQ(owner.pid, 123U);
  EXPECT_EQ(owner_of("/tmp/mine").name, "mine");
  EXPECT_EQ(owner_of("/tmp/mine").pid, 0U);
}

}  // namespace census_test
}  // namespace vmm::control

#include "vmm/machine/terminal.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <cstdlib>

#include "tests/vmm/machine/pty.h"

namespace vmm {
namespace terminal_test {

using test::Pty;
using test::same_modes;

TEST(RawTerminal, RestoresWhatItFound) {
  const Pty pty;
  ASSERT_GE(pty.slave(), 0);
  const termios before = pty.modes();
  {
    auto terminal = RawTerminal::create(pty.slave());
    ASSERT_TRUE(terminal);
    EXPECT_TRUE(pty.is_raw());
    EXPECT_NE(pty.modes().c_oflag & OPOST, 0U) << "log lines still begin at the left edge";
    (*terminal)->suspend();
    EXPECT_TRUE(same_modes(pty.modes(), before));
    (*terminal)->resume();
    EXPECT_TRUE(pty.is_raw());
  }
  EXPECT_TRUE(same_modes(pty.modes(), before));
}

TEST(RawTerminal, OneAtATimeAndOnlyTerminals) {
  const Pty pty;
  auto first = RawTerminal::create(pty.slave());
  ASSERT_TRUE(first);
  EXPECT_EQ(RawTerminal::create(pty.slave()).error().kind(), uvm::ErrorKind::Busy);
  first->reset();
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  EXPECT_FALSE(RawTerminal::create(null));
  EXPECT_TRUE(RawTerminal::create(pty.slave())) << "a failure leaves nothing taken";
  close(null);
}

TEST(RawTerminal, LeavesHandlersOfOthersAlone) {
  const auto mine = [](int) {};
  ::signal(SIGTERM, mine);
  {
    const Pty pty;
    const auto terminal = RawTerminal::create(pty.slave());
    struct sigaction now = {};
    sigaction(SIGTERM, nullptr, &now);
    EXPECT_EQ(now.sa_handler, static_cast<sighandler_t>(mine));
    sigaction(SIGINT, nullptr, &now);
    EXPECT_NE(now.sa_handler, SIG_DFL);
  }
  EXPECT_EQ(::signal(SIGTERM, SIG_DFL), static_cast<sighandler_t>(mine));
  EXPECT_EQ(::signal(SIGINT, SIG_DFL), SIG_DFL) << "and takes its own away";
}

/// Ends a process in raw mode by `signal_number`, or by exit() when that is 0.
class RawTerminalEnd : public testing::TestWithParam<int> {};

TEST_P(RawTerminalEnd, TheTerminalIsRestored) {
  const Pty pty;
  const termios before = pty.modes();
  const int number = GetParam();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (number != 0) ::signal(number, SIG_DFL);  // a sanitizer may have put its own there
    auto terminal = RawTerminal::create(pty.slave());
    if (!terminal || !pty.is_raw()) _exit(99);
    if (number == 0) std::exit(7);
    raise(number);
    _exit(98);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  if (number == 0) {
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7);
  } else {
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == number) << std::hex << status;
  }
  EXPECT_TRUE(same_modes(pty.modes(), before));
}

INSTANTIATE_TEST_SUITE_P(Ways, RawTerminalEnd,
                         testing::Values(0, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT, SIGSEGV, SIGBUS,
                                         SIGILL, SIGFPE));

}  // namespace terminal_test
}  // namespace vmm

#include "vmm/machine/terminal.h"

#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>

namespace vmm {

namespace {

// What a signal handler may look at: plain data, written before `active` goes up.
struct Saved {
  std::atomic<bool> taken{false};   // some RawTerminal lives
  std::atomic<bool> active{false};  // the terminal differs from `before`
  int fd = -1;
  termios before{};
  termios raw{};
};

Saved& saved() {
  static Saved instance;
  return instance;
}

constexpr std::array kFatalSignals{SIGINT,  SIGTERM, SIGHUP, SIGQUIT, SIGABRT,
                                   SIGSEGV, SIGBUS,  SIGILL, SIGFPE};

/// Async-signal-safe. A terminal that is not our controlling one (a test's pty) has no foreground to ask for.
bool in_foreground(int fd) {
  const pid_t owner = tcgetpgrp(fd);
  return owner < 0 || owner == getpgrp();
}

/// Async-signal-safe.
void restore() {
  Saved& state = saved();
  if (!state.active.exchange(false)) return;
  const int error = errno;
  if (in_foreground(state.fd)) tcsetattr(state.fd, TCSANOW, &state.before);
  errno = error;
}

void enter() {
  Saved& state = saved();
  if (!in_foreground(state.fd)) return;
  // Up first: a signal between the two restores what has not changed yet, and that is harmless.
  state.active = true;
  tcsetattr(state.fd, TCSANOW, &state.raw);
}

extern "C" void restore_and_die(int signal_number) {
  restore();
  // The default action takes place as soon as this returns and the signal is no longer blocked.
  ::signal(signal_number, SIG_DFL);
  ::raise(signal_number);
}

extern "C" void restore_at_exit() {
  restore();
}

void install_handlers() {
  for (const int number : kFatalSignals) {
    struct sigaction old = {};
    if (sigaction(number, nullptr, &old) != 0 || old.sa_handler != SIG_DFL) continue;
    struct sigaction action = {};
    action.sa_handler = restore_and_die;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, nullptr);
  }
}

void remove_handlers() {
  for (const int number : kFatalSignals) {
    struct sigaction old = {};
    if (sigaction(number, nullptr, &old) == 0 && old.sa_handler == restore_and_die) {
      ::signal(number, SIG_DFL);
    }
  }
}

}  // namespace

void restore_terminal() {
  restore();
}

uvm::Result<std::unique_ptr<RawTerminal>> RawTerminal::create(int fd) {
  Saved& state = saved();
  if (state.taken.exchange(true)) {
    return uvm::Error(uvm::ErrorKind::Busy, "a terminal is in raw mode already", "use one console a process");
  }
  if (tcgetattr(fd, &state.before) != 0) {
    const int error = errno;
    state.taken = false;
    return uvm::Error::from_errno(error, "terminal: reading its modes");
  }
  state.fd = fd;
  state.raw = state.before;
  state.raw.c_iflag &=
      ~static_cast<tcflag_t>(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
  state.raw.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
  state.raw.c_cflag = (state.raw.c_cflag & ~static_cast<tcflag_t>(CSIZE | PARENB)) | CS8;
  state.raw.c_cc[VMIN] = 1;
  state.raw.c_cc[VTIME] = 0;
  static const int registered = ::atexit(restore_at_exit);
  static_cast<void>(registered);
  install_handlers();
  enter();
  return std::unique_ptr<RawTerminal>(new RawTerminal);
}

RawTerminal::~RawTerminal() {
  restore();
  remove_handlers();
  saved().taken = false;
}

void RawTerminal::suspend() {
  restore();
}

void RawTerminal::resume() {
  enter();
}

}  // namespace vmm

#include "tests/support/model/touch.h"

#include <csetjmp>
#include <csignal>
#include <cstdlib>

namespace test::model {
namespace {

int refusal_signal() {
  return SIGRTMIN + 5;
}

thread_local sigjmp_buf way_back;
thread_local volatile std::sig_atomic_t is_touching = 0;

void on_signal(int signal) {
  if (is_touching != 0) {
    is_touching = 0;
    siglongjmp(way_back, signal == refusal_signal() ? 2 : 1);
  }
  if (signal == refusal_signal()) return;  // it came too late
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void install_handlers() {
  static const bool done = [] {
    struct sigaction action {};
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGSEGV, &action, nullptr);
    ::sigaction(SIGBUS, &action, nullptr);
    ::sigaction(refusal_signal(), &action, nullptr);
    return true;
  }();
  static_cast<void>(done);
}

template <class F>
Touched touch(F&& instruction) {
  install_handlers();
  switch (sigsetjmp(way_back, 1)) {
    case 0:
      break;
    case 1:
      return Touched::Faulted;
    default:
      return Touched::Refused;
  }
  is_touching = 1;
  instruction();
  is_touching = 0;
  return Touched::Done;
}

}  // namespace

Touched touch_load(const std::uint64_t* from, std::uint64_t& value) {
  return touch([&] { value = *static_cast<const volatile std::uint64_t*>(from); });
}

Touched touch_store(std::uint64_t* to, std::uint64_t value) {
  return touch([&] { *static_cast<volatile std::uint64_t*>(to) = value; });
}

void refuse_touch(pthread_t thread) {
  install_handlers();
  ::pthread_kill(thread, refusal_signal());
}

}  // namespace test::model

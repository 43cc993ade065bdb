#include "tests/support/model/touch.h"

#include <csetjmp>
#include <csignal>
#include <cstdlib>

#include "ept/host/guarded_copy.h"

namespace test::model {
namespace {

int refusal_signal() {
  return SIGRTMIN + 5;
}

thread_local sigjmp_buf way_back;
thread_local volatile std::sig_atomic_t is_touching = 0;

/// Of guarded copies: whatever is no touch is handed on to it.
struct sigaction before_segv;
struct sigaction before_bus;

void on_signal(int signal, siginfo_t* info, void* context) {
  if (is_touching != 0) {
    is_touching = 0;
    siglongjmp(way_back, signal == refusal_signal() ? 2 : 1);
  }
  if (signal == refusal_signal()) return;  // it came too late
  (signal == SIGBUS ? before_bus : before_segv).sa_sigaction(signal, info, context);
}

/// Over the handler of guarded copies, which has to be there first: two threads that install both at the same
/// time would leave one of them out, and the next fault that was its business would end the program.
void install_handlers() {
  static const bool done = [] {
    static_cast<void>(ept::host::guarded_copy({}, {}));
    ::sigaction(SIGSEGV, nullptr, &before_segv);
    ::sigaction(SIGBUS, nullptr, &before_bus);
    struct sigaction action {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGSEGV, &action, nullptr);
    ::sigaction(SIGBUS, &action, nullptr);
    ::sigaction(refusal_signal(), &action, nullptr);
    return true;
  }();
  static_cast<void>(done);
}

#if defined(__SANITIZE_THREAD__)
// What a vCPU does is nothing that a sanitizer of this process sees.
#define UVMM_UNSEEN __attribute__((no_sanitize("thread")))
#else
#define UVMM_UNSEEN
#endif

UVMM_UNSEEN void load(const std::uint64_t* from, std::uint64_t& value) {
  is_touching = 1;
  value = __atomic_load_n(from, __ATOMIC_SEQ_CST);
  is_touching = 0;
}

UVMM_UNSEEN void store(std::uint64_t* to, std::uint64_t value) {
  is_touching = 1;
  __atomic_store_n(to, value, __ATOMIC_SEQ_CST);
  is_touching = 0;
}

template <class F>
Touched touch(F&& instruction) {
  install_handlers();
  switch (sigsetjmp(way_back, 1)) {
    case 0:
      instruction();
      return Touched::Done;
    case 1:
      return Touched::Faulted;
    default:
      return Touched::Refused;
  }
}

}  // namespace

Touched touch_load(const std::uint64_t* from, std::uint64_t& value) {
  return touch([&] { load(from, value); });
}

Touched touch_store(std::uint64_t* to, std::uint64_t value) {
  return touch([&] { store(to, value); });
}

void refuse_touch(pthread_t thread) {
  install_handlers();
  ::pthread_kill(thread, refusal_signal());
}

}  // namespace test::model

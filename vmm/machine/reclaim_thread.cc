#include "vmm/machine/reclaim_thread.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "vmm/confine/confinement.h"
#include "vmm/log.h"

namespace vmm {
namespace {

/// Bytes between two looks at whether the thread has to end.
constexpr std::uint64_t kBatch = std::uint64_t{1} << 20;
/// The part of the limit that is made free at a time: as much again as was left when the thread was woken.
constexpr std::uint64_t kPart = 16;

}  // namespace

uvm::Result<std::unique_ptr<ReclaimThread>> ReclaimThread::start(GuestMemory& memory) {
  Fd stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop) return uvm::Error::from_errno(errno, "creating an eventfd for the reclaim thread");
  auto reclaim_thread = std::unique_ptr<ReclaimThread>(new ReclaimThread(memory, std::move(stop)));
  if (memory.limit() != 0) {
    reclaim_thread->thread_ = std::thread([self = reclaim_thread.get()] { self->loop(); });
    pthread_setname_np(reclaim_thread->thread_.native_handle(), "reclaim");
  }
  return reclaim_thread;
}

ReclaimThread::ReclaimThread(GuestMemory& memory, Fd stop) : memory_(memory), stop_(std::move(stop)) {}

ReclaimThread::~ReclaimThread() {
  if (!thread_.joinable()) return;
  ::eventfd_write(stop_.get(), 1);
  thread_.join();
}

void ReclaimThread::loop() {
  confine::enter(confine::ThreadKind::Reclaim);
  std::array<pollfd, 2> waits{};
  waits[0] = {memory_.low_fd(), POLLIN, 0};
  waits[1] = {stop_.get(), POLLIN, 0};
  while (true) {
    const int ready = ::poll(waits.data(), waits.size(), -1);
    if (ready < 0 && errno != EINTR) return;
    if (ready < 0) continue;
    if (waits[1].revents != 0) return;
    eventfd_t times = 0;
    ::eventfd_read(memory_.low_fd(), &times);
    make_room();
  }
}

void ReclaimThread::make_room() {
  for (std::uint64_t wanted = memory_.limit() / kPart; wanted > 0 && !is_stopping();) {
    const auto gone = memory_.space().reclaim(kBatch);
    if (!gone) {
      // Whoever needs a page tries for itself, and stands still if it must; this is only the first to see it.
      if (!std::exchange(has_failed_, true)) {
        log::event(log::Level::Warning, "no memory could be reclaimed", {{"error", gone.error().text()}});
      }
      return;
    }
    if (*gone == 0) return;
    has_failed_ = false;
    wanted -= std::min(wanted, *gone);
  }
}

bool ReclaimThread::is_stopping() const {
  pollfd wait{stop_.get(), POLLIN, 0};
  return ::poll(&wait, 1, 0) > 0;
}

}  // namespace vmm

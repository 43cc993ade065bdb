#include "vmm/machine/fault_thread.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace vmm {

uvm::Result<std::unique_ptr<FaultThread>> FaultThread::start(GuestMemory& memory, Failed failed) {
  Fd stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop) return uvm::Error::from_errno(errno, "creating an eventfd for the fault thread");
  auto fault_thread =
      std::unique_ptr<FaultThread>(new FaultThread(memory, std::move(failed), std::move(stop)));
  if (memory.pmap().events() != nullptr) {
    fault_thread->thread_ = std::thread([self = fault_thread.get()] { self->loop(); });
    pthread_setname_np(fault_thread->thread_.native_handle(), "faults");
  }
  return fault_thread;
}

FaultThread::FaultThread(GuestMemory& memory, Failed failed, Fd stop)
    : memory_(memory), failed_(std::move(failed)), stop_(std::move(stop)) {}

FaultThread::~FaultThread() {
  if (!thread_.joinable()) return;
  ::eventfd_write(stop_.get(), 1);
  thread_.join();
}

void FaultThread::loop() {
  std::array<pollfd, 2> waits{};
  waits[0] = {memory_.pmap().events()->fd(), POLLIN, 0};
  waits[1] = {stop_.get(), POLLIN, 0};
  while (true) {
    const int ready = ::poll(waits.data(), waits.size(), -1);
    if (ready < 0 && errno != EINTR) return;
    if (ready < 0) continue;
    if (waits[1].revents != 0) return;
    if (waits[0].revents != 0) drain();
  }
}

void FaultThread::drain() {
  while (const auto event = memory_.pmap().events()->next()) {
    const auto resolved = memory_.space().fault(event->address, event->access);
    if (resolved) continue;
    failed_(event->address, resolved.error());
    memory_.pmap().wake(event->address.page_down());
  }
}

}  // namespace vmm

#include "vmm/machine/fault_thread.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "vmm/confine/confinement.h"

namespace vmm {

namespace {

constexpr int kRetryMilliseconds = 1000;

}  // namespace

uvm::Result<std::unique_ptr<FaultThread>> FaultThread::start(GuestMemory& memory, Callbacks callbacks) {
  Fd stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop) return uvm::Error::from_errno(errno, "creating an eventfd for the fault thread");
  auto fault_thread =
      std::unique_ptr<FaultThread>(new FaultThread(memory, std::move(callbacks), std::move(stop)));
  if (memory.pmap().events() != nullptr) {
    fault_thread->thread_ = std::thread([self = fault_thread.get()] { self->loop(); });
    pthread_setname_np(fault_thread->thread_.native_handle(), "faults");
  }
  return fault_thread;
}

FaultThread::FaultThread(GuestMemory& memory, Callbacks callbacks, Fd stop)
    : memory_(memory), callbacks_(std::move(callbacks)), stop_(std::move(stop)) {}

FaultThread::~FaultThread() {
  if (!thread_.joinable()) return;
  ::eventfd_write(stop_.get(), 1);
  thread_.join();
}

void FaultThread::loop() {
  confine::enter(confine::ThreadKind::Faults);
  std::array<pollfd, 2> waits{};
  waits[0] = {memory_.pmap().events()->fd(), POLLIN, 0};
  waits[1] = {stop_.get(), POLLIN, 0};
  while (true) {
    const int ready = ::poll(waits.data(), waits.size(), unresolved_.empty() ? -1 : kRetryMilliseconds);
    if (ready < 0 && errno != EINTR) return;
    if (ready < 0) continue;
    if (waits[1].revents != 0) return;
    if (waits[0].revents != 0) drain();
    if (ready == 0) retry();
  }
}

void FaultThread::drain() {
  while (const auto event = memory_.pmap().events()->next()) {
    if (!resolve(*event)) unresolved_.push_back(*event);
  }
}

bool FaultThread::resolve(const ept::StageTwoEvent& event) {
  const auto resolved = memory_.space().fault(event.address, event.access);
  if (resolved) return true;
  if (callbacks_.failed(event.address, resolved.error()) == Unresolved::TryAgain) return false;
  memory_.pmap().refuse(event.address);
  return true;
}

void FaultThread::retry() {
  std::erase_if(unresolved_, [this](const auto& event) { return resolve(event); });
  if (unresolved_.empty()) callbacks_.recovered();
}

}  // namespace vmm

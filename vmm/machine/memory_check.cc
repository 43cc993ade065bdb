#include "vmm/machine/memory_check.h"

#include <pthread.h>

#include <new>
#include <system_error>
#include <utility>

#include "vmm/confine/confinement.h"

namespace vmm {

uvm::Result<std::unique_ptr<MemoryCheck>> MemoryCheck::start(std::vector<snapshot::MemorySums> unchecked,
                                                             std::function<void(const uvm::Error&)> damaged) {
  auto check = std::unique_ptr<MemoryCheck>(new MemoryCheck(std::move(unchecked), std::move(damaged)));
  try {
    check->thread_ = std::thread([self = check.get()] { self->loop(); });
  } catch (const std::system_error& failure) {
    return uvm::Error::from_errno(failure.code().value(), "thread that checks memory");
  }
  pthread_setname_np(check->thread_.native_handle(), "memory-check");
  return check;
}

MemoryCheck::MemoryCheck(std::vector<snapshot::MemorySums> unchecked,
                         std::function<void(const uvm::Error&)> damaged)
    : unchecked_(std::move(unchecked)), damaged_(std::move(damaged)) {}

MemoryCheck::~MemoryCheck() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

uvm::Status MemoryCheck::wait() {
  const uvm::MutexLock lock(mutex_);
  // A mutex says whom it belongs to, which the analysis does not follow into a wait.
  while (!outcome_) changed_.wait(mutex_);
  return *outcome_;
}

uvm::Status MemoryCheck::check_all() try {
  for (snapshot::MemorySums& sums : unchecked_) {
    while (!sums.done() && !stopping_) UVMM_CHECK(sums.check(snapshot::MemorySums::kChunk));
  }
  return uvm::ok();
} catch (const std::bad_alloc&) {
  return uvm::Error(uvm::ErrorKind::NoMemory, "no memory to check what the snapshot's memory is");
}

void MemoryCheck::loop() {
  confine::enter(confine::ThreadKind::Reclaim);
  uvm::Status outcome = check_all();
  if (!outcome) damaged_(outcome.error());
  {
    const uvm::MutexLock lock(mutex_);
    outcome_ = std::move(outcome);
  }
  changed_.notify_all();
}

}  // namespace vmm

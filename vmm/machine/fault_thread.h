// The thread that answers accesses only the VM system can resolve.
#pragma once

#include <functional>
#include <memory>
#include <thread>

#include "uvm/base/error.h"
#include "uvm/base/units.h"
#include "vmm/kvm/fd.h"
#include "vmm/machine/guest_memory.h"

namespace vmm {

/// Reads the pmap's events and resolves each by Space::fault. Whoever touched the page (a vCPU, KVM, a thread
/// of ours) sleeps meanwhile, so this thread holds no lock while it waits and never waits for a vCPU. An
/// event that cannot be resolved goes to `failed`, which has to end the machine; the sleeper is woken and,
/// told to stop, does not ask again. Without events (the host has no userfaultfd) there is no thread.
class FaultThread {
 public:
  using Failed = std::function<void(uvm::Gpa, const uvm::Error&)>;

  [[nodiscard]] static uvm::Result<std::unique_ptr<FaultThread>> start(GuestMemory& memory, Failed failed);
  ~FaultThread();
  FaultThread(const FaultThread&) = delete;
  FaultThread& operator=(const FaultThread&) = delete;

 private:
  FaultThread(GuestMemory& memory, Failed failed, Fd stop);
  void loop();
  void drain();

  GuestMemory& memory_;
  const Failed failed_;
  Fd stop_;  // eventfd; written once
  std::thread thread_;
};

}  // namespace vmm

// The thread that answers accesses only the VM system can resolve.
#pragma once

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "ept/events.h"
#include "uvm/base/error.h"
#include "uvm/base/units.h"
#include "vmm/kvm/fd.h"
#include "vmm/machine/guest_memory.h"

namespace vmm {

/// What becomes of an event that cannot be resolved now.
enum class Unresolved : std::uint8_t {
  EndMachine,  // the sleeper's access, and every later one, is an error
  TryAgain,    // it sleeps on, and the event is tried again every now and then
};

/// Reads the pmap's events and resolves each by Space::fault. Whoever touched the page (a vCPU, KVM, a thread
/// of ours) sleeps meanwhile, so this thread holds no lock while it waits and never waits for a vCPU. Without
/// events (the host has no userfaultfd) there is no thread.
class FaultThread {
 public:
  /// Called on the thread. `failed` for every event that cannot be resolved, each time it is tried; it ends
  /// the machine, or lets it stand still. `recovered` when the last of those that are tried again succeeded.
  struct Callbacks {
    std::function<Unresolved(uvm::Gpa, const uvm::Error&)> failed;
    std::function<void()> recovered;
  };

  [[nodiscard]] static uvm::Result<std::unique_ptr<FaultThread>> start(GuestMemory& memory,
                                                                       Callbacks callbacks);
  ~FaultThread();
  FaultThread(const FaultThread&) = delete;
  FaultThread& operator=(const FaultThread&) = delete;

 private:
  FaultThread(GuestMemory& memory, Callbacks callbacks, Fd stop);
  void loop();
  void drain();
  void retry();
  /// False: it has to be tried again.
  [[nodiscard]] bool resolve(const ept::StageTwoEvent& event);

  GuestMemory& memory_;
  const Callbacks callbacks_;
  Fd stop_;                                     // eventfd; written once
  std::vector<ept::StageTwoEvent> unresolved_;  // of the thread
  std::thread thread_;
};

}  // namespace vmm

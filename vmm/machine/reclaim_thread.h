// The thread that keeps a guest below its memory limit, so that faults rarely have to.
#pragma once

#include <memory>
#include <thread>

#include "uvm/base/error.h"
#include "vmm/kvm/fd.h"
#include "vmm/machine/guest_memory.h"

namespace vmm {

/// Sleeps until the space says that little room is left, then reclaims a batch at a time until there is some
/// again. Without a limit there is no thread. It never waits for a vCPU, and holds no lock while it waits.
class ReclaimThread {
 public:
  [[nodiscard]] static uvm::Result<std::unique_ptr<ReclaimThread>> start(GuestMemory& memory);
  ~ReclaimThread();
  ReclaimThread(const ReclaimThread&) = delete;
  ReclaimThread& operator=(const ReclaimThread&) = delete;

 private:
  ReclaimThread(GuestMemory& memory, Fd stop);
  void loop();
  /// Until there is some room, nothing more can go, or the thread has to end.
  void make_room();
  [[nodiscard]] bool is_stopping() const;

  GuestMemory& memory_;
  Fd stop_;  // eventfd; written once
  bool has_failed_ = false;
  std::thread thread_;
};

}  // namespace vmm

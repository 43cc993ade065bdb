#include "vmm/machine/swap_trouble.h"

#include "vmm/log.h"

namespace vmm {

Unresolved SwapTrouble::failed(uvm::Gpa gpa, const uvm::Error& error) {
  const bool may_pass = error.kind() == uvm::ErrorKind::PagerIo || error.kind() == uvm::ErrorKind::NoMemory;
  if (!pauses_ || !may_pass) {
    ending_.end(ExitStatus::Internal,
                "guest memory at " + uvm::to_string(gpa) + " cannot be brought in: " + error.text());
    return Unresolved::EndMachine;
  }
  if (ending_.report()) return Unresolved::EndMachine;
  if (!paused_) {
    paused_ = true;
    // Without waiting: the vCPU that waits for this page waits for this thread.
    static_cast<void>(vcpus_.begin_pause());
    log::event(log::Level::Error, "the guest stands still: its memory cannot be brought in",
               {{"address", log::hex(gpa.value())},
                {"error", error.text()},
                {"and_then", "it goes on by itself when that works again; Ctrl-A x or SIGTERM ends it"}});
  }
  return Unresolved::TryAgain;
}

void SwapTrouble::recovered() {
  if (!paused_) return;
  paused_ = false;
  log::event(log::Level::Error, "the guest goes on: its memory is there again");
  vcpus_.resume();
}

}  // namespace vmm

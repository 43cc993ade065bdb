#include "vmm/control/children.h"

#include <unistd.h>

#include <chrono>
#include <thread>

#include "vmm/control/client.h"
#include "vmm/control/run_directory.h"
#include "vmm/control/starter.h"

namespace vmm::control {
using uvm::Error;
using uvm::ErrorKind;

uvm::Result<Child> Children::start() {
  Child child;
  const unsigned number = ++started_;
  UVMM_TRY(child.debugger, debugger_socket(name_, ::getpid(), number));
  UVMM_TRY(child.pid, options_.starter->start(number));
  UVMM_TRY(child.socket, default_socket(name_, child.pid));
  UVMM_CHECK(wait_for(child));
  return child;
}

uvm::Status Children::wait_for(const Child& child) const {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(kPatience);
  const std::string what = "the copy, process " + std::to_string(child.pid) + ",";
  while (!ask(child.socket, "status")) {
    if (options_.starter->has_ended(child.pid)) {
      return Error(ErrorKind::Unsupported, what + " ended at once", "see what uvmm has printed");
    }
    if (std::chrono::steady_clock::now() > deadline) {
      return Error(ErrorKind::Busy, what + " does not answer at " + child.socket);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return uvm::ok();
}

}  // namespace vmm::control

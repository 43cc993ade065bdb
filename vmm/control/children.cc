#include "vmm/control/children.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "vmm/control/client.h"
#include "vmm/control/run_directory.h"
#include "vmm/control/starter.h"
#include "vmm/log.h"

namespace vmm::control {
using uvm::Error;
using uvm::ErrorKind;

namespace {

constexpr std::chrono::microseconds kLongestPause{5000};

}  // namespace

void Children::keep_ready() const {
  if (options_.ready_copies == 0) return;
  const auto kept = options_.starter->keep_ready(options_.ready_copies);
  if (!kept) log::event(log::Level::Warning, "no copies are ready", {{"why", kept.error().text()}});
}

uvm::Result<Child> Children::start() {
  Child child;
  UVMM_TRY(const Starter::Started started, options_.starter->start());
  child.pid = started.pid;
  UVMM_TRY(child.debugger, debugger_socket(name_, ::getpid(), started.number));
  UVMM_TRY(child.socket, default_socket(name_, child.pid));
  UVMM_CHECK(wait_for(child));
  return child;
}

uvm::Status Children::wait_for(const Child& child) const {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(kPatience);
  auto pause = std::chrono::microseconds(200);
  const std::string what = "the copy, process " + std::to_string(child.pid) + ",";
  while (!ask(child.socket, "status")) {
    if (options_.starter->has_ended(child.pid)) {
      return Error(ErrorKind::Unsupported, what + " ended at once", "see what uvmm has printed");
    }
    if (std::chrono::steady_clock::now() > deadline) {
      return Error(ErrorKind::Busy, what + " does not answer at " + child.socket);
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, kLongestPause);
  }
  return uvm::ok();
}

}  // namespace vmm::control

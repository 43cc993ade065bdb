// The monitor's verbs that take the machine as a whole.
#include "vmm/debug/monitor_verbs.h"

namespace vmm::debug::monitor {
namespace {

uvm::Result<std::string> name_of(const MonitorCall& call, std::string_view usage) {
  if (call.words.empty()) return std::string();
  UVMM_CHECK(need_words(call, 1, usage));
  return call.words[0];
}

uvm::Error no_machine() {
  return {uvm::ErrorKind::Unsupported, "this machine keeps no checkpoints"};
}

}  // namespace

uvm::Status checkpoint(MonitorCall& call) {
  UVMM_TRY(const std::string name, name_of(call, "checkpoint [NAME]"));
  if (!call.inferior.door().checkpoint) return no_machine();
  return call.inferior.door().checkpoint(name);
}

uvm::Status reset(MonitorCall& call) {
  UVMM_TRY(const std::string name, name_of(call, "reset [NAME]"));
  if (!call.inferior.door().reset) return no_machine();
  const uvm::Status done = call.inferior.door().reset(name);
  call.inferior.registers_changed();
  return done;
}

uvm::Status fork(MonitorCall& call) {
  UVMM_CHECK(need_words(call, 0, "fork"));
  if (!call.inferior.door().fork) {
    return uvm::Error(uvm::ErrorKind::Unsupported, "this machine has no control socket to be forked through",
                      "start it without --control none");
  }
  UVMM_TRY(const std::string told, call.inferior.door().fork());
  call.out(told);
  return uvm::ok();
}

}  // namespace vmm::debug::monitor

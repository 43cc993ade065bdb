#include "vmm/cli/own_process.h"

#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "vmm/config/confinement_words.h"
#include "vmm/confine/confinement.h"
#include "vmm/confine/jail.h"
#include "vmm/control/run_directory.h"
#include "vmm/control/starter.h"
#include "vmm/machine/terminal.h"

namespace vmm::cli {

using config::to_string;

namespace {

/// Started where a debugger or a client of the API may ask for copies.
uvm::Result<std::shared_ptr<const control::Starter>> make_starter(const MachineConfig& config) {
  const bool is_asked = config.gdb.listen || config.gdb.inherited >= 0 || !config.api_socket.empty();
  if (!is_asked || config.control.socket.empty()) return nullptr;
  control::Starter::Plan plan;
  plan.words = {"/proc/self/exe",
                "fork",
                config.control.socket,
                "--name",
                config.name,
                "--console",
                "none",
                "--seccomp",
                std::string(to_string(config.confinement.seccomp)),
                "--landlock",
                std::string(to_string(config.confinement.landlock)),
                "--gdb"};
  plan.last_word = [name = config.name, pid = ::getpid()](unsigned number) {
    const auto socket = control::debugger_socket(name, pid, number);
    return "unix:" + (socket ? *socket : std::string());
  };
  plan.ready_word = "--ready";
  plan.begin = [&options = config.confinement] { return confine::give_up_rights(options, {}); };
  UVMM_TRY(auto starter, control::Starter::create(plan));
  return starter;
}

/// Those that set-up has made; a socket of the machine's belongs to its user.
std::vector<std::string> sockets_of(const MachineConfig& config) {
  std::vector<std::string> all = {config.control.socket, config.pins.socket, config.api_socket};
  if (config.gdb.listen) all.push_back(config.gdb.listen->path);
  if (config.vsock) all.push_back(config.vsock->socket);
  std::erase(all, std::string());
  return all;
}

}  // namespace

uvm::Status prepare_process(MachineConfig& config) {
  UVMM_CHECK(confine::enter_jail(config.confinement));
  UVMM_TRY(config.control.starter, make_starter(config));
  return uvm::ok();
}

uvm::Status confine_process(const MachineConfig& config) {
  return confine::set_up(config, restore_terminal);
}

uvm::Status give_up_rights(const MachineConfig& config) {
  return confine::give_up_rights(config.confinement, sockets_of(config));
}

}  // namespace vmm::cli

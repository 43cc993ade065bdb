// Where the sockets of running machines are: $XDG_RUNTIME_DIR/uvmm, or /tmp/uvmm-UID where there is none.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "uvm/base/error.h"

namespace vmm::control {

/// Makes it, mode 0700, if it is not there. Errors: Permission (it is somebody else's, or open to others),
/// System.
[[nodiscard]] uvm::Result<std::string> run_directory();
/// NAME-PID.sock in it.
[[nodiscard]] uvm::Result<std::string> default_socket(const std::string& name, pid_t pid);
/// The same in the run directory of a user that this process, root's now, will become: $XDG_RUNTIME_DIR is
/// root's, and is forgotten.
[[nodiscard]] uvm::Result<std::string> default_socket(const std::string& name, pid_t pid, uid_t owner);
/// NAME-PID.NUMBER.gdb in it: where a debugger finds copy NUMBER of that process's machine.
[[nodiscard]] uvm::Result<std::string> debugger_socket(const std::string& name, pid_t pid, unsigned number);
/// All control sockets that are there, sorted; somebody may listen or not.
[[nodiscard]] std::vector<std::string> known_sockets();
/// Whose socket it is, by its name in the run directory: for a machine that does not say it itself.
struct SocketOwner {
  std::string name;
  std::uint64_t pid = 0;
};
[[nodiscard]] SocketOwner owner_of(const std::string& socket);
/// A path as it is; else the one socket whose name begins so (NAME, NAME-PID), or whose process it is.
/// Errors: NotFound, Invalid (several; they are listed).
[[nodiscard]] uvm::Result<std::string> find_socket(const std::string& machine);

}  // namespace vmm::control

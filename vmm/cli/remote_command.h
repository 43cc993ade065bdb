// The verbs that speak to a running machine through its control socket.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "vmm/machine/config.h"
#include "vmm/snapshot/memory_file.h"

namespace vmm::cli {

enum class RemoteVerb : std::uint8_t { Fork, Snapshot, SnapshotInfo, Collapse, Ask, Balloon, List, Tree };

/// One command line of theirs.
struct RemoteCall {
  RemoteVerb verb = RemoteVerb::List;
  std::string machine;    // a path, a name or a process's number
  std::string question;   // Ask: the verb of the socket
  std::string name;       // Ask: of a checkpoint
  std::string directory;  // Snapshot, SnapshotInfo, Collapse
  std::string base;       // Snapshot: the directory of one to build on; empty: on none
  snapshot::Packing packing = snapshot::Packing::None;  // Snapshot
  std::uint32_t count = 1;                              // Fork
  bool ready = false;                  // Fork: wait for a line on stdin, with all but the machine made
  std::optional<std::uint64_t> bytes;  // Balloon: that the guest is to give back; nothing: as before
  MachineConfig config;                // Fork: what is the child's own (console, control socket, log)
};

/// Returns the exit status.
[[nodiscard]] int remote_command(const RemoteCall& call);

}  // namespace vmm::cli

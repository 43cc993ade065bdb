// Which files a running machine may open, as data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmm/confine/thread_kind.h"
#include "vmm/machine/config.h"

namespace vmm::confine {

/// Of a file; of everything in it, and below, if it is a folder.
enum class PathAccess : std::uint8_t {
  Read,
  ReadWrite,  // of what is there already, and of files without a name
  Sockets,    // makes and removes sockets, lists
  All,        // also makes, renames and removes files and folders
};

struct PathRule {
  std::string path;
  PathAccess access = PathAccess::Read;

  friend bool operator==(const PathRule&, const PathRule&) = default;
};

/// What a thread of that kind may open while the machine runs; what was opened before needs no rule. Looks at
/// the configuration and the environment (TMPDIR), at no file.
[[nodiscard]] std::vector<PathRule> path_rules(const MachineConfig& config, ThreadKind kind);

}  // namespace vmm::confine

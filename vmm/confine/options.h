// What an operator says about how a machine's process is confined.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "uvm/base/sanitizers.h"

namespace vmm::confine {

/// What happens to a system call that is not on its thread's list: it ends the process, is told to the
/// kernel's log, or is made.
enum class Seccomp : std::uint8_t { On, Log, Off };

/// Whether the kernel keeps the process to the files that the machine needs.
enum class Landlock : std::uint8_t { On, Off };

struct Options {
  // A sanitizer makes calls and opens files of its own.
  Seccomp seccomp = uvm::kSanitized ? Seccomp::Off : Seccomp::On;
  Landlock landlock = uvm::kSanitized ? Landlock::Off : Landlock::On;
  std::vector<std::string> allowed_paths;  // files and folders beside what the machine needs

  // The rest needs rights, and gives them up.
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  std::string netns;   // path of a network namespace; empty: the caller's
  std::string cgroup;  // a folder of cgroup v2, made if it is not there; empty: the caller's
  std::optional<std::uint64_t> memory_max;  // bytes, of that cgroup
  std::optional<std::uint64_t> pids_max;    // threads, of that cgroup

  friend bool operator==(const Options&, const Options&) = default;
};

}  // namespace vmm::confine

// The kernel's Landlock: a thread gives up, for good, all files but those that a set of rules names.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/confine/path_rules.h"
#include "vmm/kvm/fd.h"

namespace vmm::confine {

/// Also without a rule: no new TCP connection or listening port, no abstract unix socket of others, as far as
/// the kernel knows these.
class Ruleset {
 public:
  /// The version of Landlock here; 0 when the kernel has none, or none switched on.
  [[nodiscard]] static unsigned host_version();

  /// The rules whose path is there; others are told of in the log and stay out. `version` is not above
  /// host_version(), and not 0. Errors: System.
  [[nodiscard]] static uvm::Result<Ruleset> create(std::span<const PathRule> rules, unsigned version);

  /// One more file, by its descriptor. For threads that restrict themselves later. Errors: System.
  [[nodiscard]] uvm::Status let_reopen(int fd) const;
  /// Files without names in one more folder, which are made, written and opened again. Likewise.
  [[nodiscard]] uvm::Status let_make_files(int folder) const;
  /// This thread, and what it starts. It has PR_SET_NO_NEW_PRIVS. Errors: System.
  [[nodiscard]] uvm::Status restrict_this_thread() const;

 private:
  Ruleset(Fd fd, std::uint64_t handled) : fd_(std::move(fd)), handled_(handled) {}
  [[nodiscard]] uvm::Status add(const PathRule& rule);

  Fd fd_;
  std::uint64_t handled_;
  /// Of the rules' paths. procfs has a new inode, which no rule knows, for a folder that nobody holds.
  std::vector<Fd> held_;
};

}  // namespace vmm::confine

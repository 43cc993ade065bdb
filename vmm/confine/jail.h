// What a process does with its rights before it gives them up: the jailer's job.
#pragma once

#include <span>
#include <string>

#include "uvm/base/error.h"
#include "vmm/confine/options.h"

namespace vmm::confine {

/// Moves this process, which has one thread, into the network namespace and the cgroup of `options`; the
/// cgroup's limits are set first. Nothing where they name none. Errors: NotFound, Permission, Invalid (a path
/// that is something else), Unsupported (a cgroup without that controller, and how to get it), System.
[[nodiscard]] uvm::Status enter_jail(const Options& options);

/// Gives `sockets`, which this process has made, and its files without a name to the user and group of
/// `options`, then becomes these, in all of its threads and for good: other groups and every capability are
/// gone. Nothing where `options` names none. Errors: Permission, NotFound, System.
[[nodiscard]] uvm::Status give_up_rights(const Options& options, std::span<const std::string> sockets);

/// The limits of an existing cgroup; a part of enter_jail(). Errors: as there.
[[nodiscard]] uvm::Status set_limits(const std::string& cgroup, const Options& options);

}  // namespace vmm::confine

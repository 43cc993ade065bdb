// The last look at a configuration before a machine is built from it.
//
// Only what needs no host and no file is decided here, so that `--dry-run` refuses the same things
// everywhere: limits, combinations, names. Whether a file is there and is a kernel, whether RAM fits the
// processor's physical address width, and what KVM can do is for vmm::Machine to say.
#pragma once

#include <cstdint>

#include "uvm/base/error.h"
#include "vmm/machine/config.h"

namespace vmm::config {

/// Below it there is no room for what every boot protocol puts into the first MiB.
inline constexpr std::uint64_t kMinMemory = std::uint64_t{1} << 20;  // bytes
/// More than any processor's physical width leaves for RAM today; the machine checks the real one.
inline constexpr std::uint64_t kMaxMemory = std::uint64_t{1} << 46;  // bytes
/// A guest with less in memory does little but wait for its swap.
inline constexpr std::uint64_t kMinMemoryLimit = std::uint64_t{8} << 20;  // bytes
/// What every boot protocol can carry; a kernel's own limit (often 2047) is checked when it is loaded.
inline constexpr std::size_t kMaxCmdline = 65535;  // bytes
inline constexpr std::size_t kMaxName = 64;        // bytes

/// Kind Invalid; the message names the value, its limit and the option or key to change.
[[nodiscard]] uvm::Status validate(const MachineConfig& config);

/// The same of its memory limit and swap alone.
[[nodiscard]] uvm::Status validate_overcommit(const MachineConfig& config);

/// Whether the machine is to be told by its API what it is and when it starts.
[[nodiscard]] bool waits_for_start(const MachineConfig& config);

/// The same of one that is not complete: nothing is said about what it boots.
[[nodiscard]] uvm::Status validate_so_far(const MachineConfig& config);

}  // namespace vmm::config

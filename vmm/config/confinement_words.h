// The words of a machine's confinement, on the command line and in JSON, and which of them go together.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>

#include "uvm/base/error.h"
#include "vmm/config/json_member.h"
#include "vmm/machine/config.h"

namespace vmm::config {

/// Errors name the nearest valid word and list all.
[[nodiscard]] uvm::Result<confine::Seccomp> parse_seccomp(std::string_view name);
[[nodiscard]] uvm::Result<confine::Landlock> parse_landlock(std::string_view name);
[[nodiscard]] std::string_view to_string(confine::Seccomp value);
[[nodiscard]] std::string_view to_string(confine::Landlock value);

// What an option's value does to a configuration; vmm/cli/run_flags.h.
[[nodiscard]] uvm::Status set_seccomp(std::string_view value, MachineConfig& config);
[[nodiscard]] uvm::Status set_landlock(std::string_view value, MachineConfig& config);
[[nodiscard]] uvm::Status add_allowed_path(std::string_view value, MachineConfig& config);
[[nodiscard]] uvm::Status set_uid(std::string_view value, MachineConfig& config);
[[nodiscard]] uvm::Status set_gid(std::string_view value, MachineConfig& config);
[[nodiscard]] uvm::Status set_netns(std::string_view value, MachineConfig& config);
[[nodiscard]] uvm::Status set_cgroup(std::string_view value, MachineConfig& config);
[[nodiscard]] uvm::Status set_memory_max(std::string_view value, MachineConfig& config);
[[nodiscard]] uvm::Status set_pids_max(std::string_view value, MachineConfig& config);

/// The section "confinement" of a configuration file.
[[nodiscard]] uvm::Status apply_confinement(const JsonMember& member, MachineConfig& config);
/// The other direction.
[[nodiscard]] boost::json::object confinement_json(const confine::Options& options);

/// Refuses, in one line, what does not go together. Errors: Invalid.
[[nodiscard]] uvm::Status check_confinement(const MachineConfig& config);

}  // namespace vmm::config

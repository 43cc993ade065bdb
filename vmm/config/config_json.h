// A machine's configuration as JSON: Firecracker's keys, and a few of our own (marked *).
//
//   boot-source     kernel_image_path, initrd_path, boot_args,
//                   format*         "auto", "bzimage", "elf64", "pvh", "multiboot", "flat-real", "flat-long"
//                   load_address*   where a flat image goes: bytes, or "0x100000"
//                   builtin*        a built-in guest instead of a kernel; builtin_args* its arguments
//   machine-config  vcpu_count      1–16            mem_size_mib  MiB, or mem_size_bytes* (give one of the
//   two)
//                   memory_backing* "auto", "anonymous", "shared"
//                   irqchip*        "auto", "split", "full"
//                   debug_exit*     "auto", "qemu", "plain": what a write to port 0xf4 makes of the exit
//                   status huge_pages      "auto"* or "never"*; Firecracker's "None" (its default) and "2M"
//                   mean "auto":
//                                   uvmm uses 2M pages wherever the host gives them
//                   smt             false; true is refused: vCPUs are cores of their own
//                   cpu_template    "None"; any other is refused: the guest sees the host's processor
//                   track_dirty_pages  either: what was written is known to the VM system anyway
//   logger          level           "Trace", "Debug", "Info", "Warning", "Error", "Critical"*, "Off"
//                   log_path        a file that is appended to
//                   show_level      either: a line always has its level
//                   show_log_origin false; true is refused: lines carry no source position
//                   module          "" or "uvmm": there is one
//   name*           a name for the machine
//   console*        "stdio" or "none"               show-map*     "on-signal" or "at-exit"
//
// Sections of virtio devices (drives, network-interfaces, vsock, balloon, entropy, pmem) are in
// device_json.h. Firecracker's other sections (mmds-config, cpu-config, …) are refused as not supported yet,
// unless they are empty: null, [] or {}. A member that is null counts as not given. Paths are relative to the
// current directory, as Firecracker has them, not to the file. Nothing else is lenient: an unknown or a
// doubled key, a wrong type or a number out of range is an error that names its place.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>

#include "uvm/base/error.h"
#include "vmm/machine/config.h"

namespace vmm::config {

/// `base` with every field replaced that `text` gives. Kind Invalid; one line, with the line and column or
/// the path of the key. Says nothing about whether the machine is possible: that is validate()'s business.
[[nodiscard]] uvm::Result<MachineConfig> merge_json(const MachineConfig& base, std::string_view text);

/// The same of one section, as if it stood alone in a configuration under its name.
[[nodiscard]] uvm::Result<MachineConfig> merge_section(const MachineConfig& base, std::string_view section,
                                                       const boost::json::value& value);

/// The bytes of a configuration file (or pipe): at most 1 MiB. Errors name the path.
[[nodiscard]] uvm::Result<std::string> read_config_file(const std::string& path);

/// The whole configuration in the same form, indented, with a newline at its end: merge_json() of it on any
/// base that has no kernel or built-in guest gives `config` again.
[[nodiscard]] std::string to_json(const MachineConfig& config);

}  // namespace vmm::config

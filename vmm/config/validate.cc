#include "vmm/config/validate.h"

#include <string>
#include <string_view>
#include <vector>

#include "guest/programs/builtin_info.h"
#include "guest/programs/programs.h"
#include "uvm/base/units.h"
#include "vmm/config/check_text.h"
#include "vmm/config/confinement_words.h"
#include "vmm/config/nearest.h"
#include "vmm/config/validate_devices.h"
#include "vmm/config/values.h"
#include "vmm/text.h"

namespace vmm::config {
namespace {

uvm::Status check_builtin(const MachineConfig& config) {
  const BootSource& boot = config.boot;
  const auto* program = guest::programs::find(boot.builtin);
  if (program == nullptr) {
    std::vector<std::string_view> names;
    for (const auto& each : guest::programs::all()) names.push_back(each.name);
    return invalid(
        "there is no built-in guest '" + one_line(boot.builtin) + "'",
        "the nearest is '" + std::string(nearest(boot.builtin, names)) + "'; `uvmm list-builtins` shows all");
  }
  if (!boot.initrd.empty()) {
    return invalid("the built-in guest '" + boot.builtin + "' takes no initrd", "leave --initrd out");
  }
  if (!boot.cmdline.empty()) {
    return invalid("the built-in guest '" + boot.builtin + "' takes no kernel command line",
                   "its arguments are given with --builtin-args");
  }
  if (config.memory < program->min_memory) {
    return invalid("the built-in guest '" + boot.builtin + "' needs " + format_size(program->min_memory) +
                       " of memory, not " + format_size(config.memory),
                   "raise --memory");
  }
  return check_text("--builtin-args", boot.builtin_arguments,
                    guest::programs::BuiltinInfo::kMaxArguments - 1);
}

uvm::Status check_restore(const MachineConfig& config) {
  if (!config.boot.kernel.empty() || !config.boot.builtin.empty()) {
    return invalid("both a snapshot to restore and a guest to boot are given", "leave one of them out");
  }
  if (config.control.at_start == control::AtStart::Paused && config.control.socket == "none") {
    return invalid("a restored machine waits for `uvmm resume`, and has no control socket",
                   "add --resume, or leave --control none out");
  }
  return check_text("the snapshot's directory", config.restore, 4000);
}

uvm::Status check_boot(const MachineConfig& config) {
  if (!config.restore.empty()) return check_restore(config);
  const BootSource& boot = config.boot;
  if (config.clock != ClockPolicy::Continue) {
    return invalid("--clock is for guests that go on, and this one boots",
                   "leave it out, or give --restore DIR");
  }
  if (boot.kernel.empty() && boot.builtin.empty()) {
    return invalid("no kernel is given",
                   "name one with --kernel FILE, or a built-in guest with --builtin NAME");
  }
  if (!boot.kernel.empty() && !boot.builtin.empty()) {
    return invalid(
        "both a kernel (" + boot.kernel + ") and a built-in guest (" + boot.builtin + ") are given",
        "leave --kernel or --builtin out");
  }
  UVMM_CHECK(check_text("the kernel's path", boot.kernel, 4095));
  UVMM_CHECK(check_text("the initrd's path", boot.initrd, 4095));
  UVMM_CHECK(check_text("the kernel command line", boot.cmdline, kMaxCmdline));
  if (!boot.builtin.empty()) return check_builtin(config);
  if (!boot.builtin_arguments.empty()) {
    return invalid("--builtin-args is given without --builtin",
                   "a kernel's arguments are given with --cmdline");
  }
  UVMM_CHECK(parse_kernel_format(boot.format));
  return uvm::ok();
}

uvm::Status check_memory(const MachineConfig& config) {
  const std::string given = "memory of " + format_size(config.memory);
  if (config.memory < kMinMemory) {
    return invalid(given + " is too little", "--memory takes " + format_size(kMinMemory) + " to " +
                                                 format_size(kMaxMemory) +
                                                 "; a number without a unit is MiB");
  }
  if (config.memory > kMaxMemory) {
    return invalid(given + " is more than a processor can address",
                   "--memory takes " + format_size(kMinMemory) + " to " + format_size(kMaxMemory) +
                       "; a number without a unit is MiB");
  }
  if (config.memory % uvm::kPageSize != 0) {
    return invalid(given + " is not a whole number of 4K pages", "round it to a multiple of 4K");
  }
  if (config.boot.load_address >= config.memory) {
    return invalid("load address " + std::to_string(config.boot.load_address) +
                       " is not inside the guest's " + format_size(config.memory) + " of memory",
                   "lower --load-address or raise --memory");
  }
  return uvm::ok();
}

uvm::Status check_swap_size(const MachineConfig& config) {
  const Overcommit& overcommit = config.overcommit;
  if (overcommit.swap_size == 0 || overcommit.limit >= config.memory) return uvm::ok();
  const std::uint64_t least = config.memory - overcommit.limit;
  if (overcommit.swap_size % uvm::kPageSize != 0) {
    return invalid("swap of " + format_size(overcommit.swap_size) + " is not a whole number of 4K pages",
                   "round --swap-size to a multiple of 4K");
  }
  if (overcommit.swap_size >= least || overcommit.compress) return uvm::ok();
  return invalid("a guest of " + format_size(config.memory) + " with " + format_size(overcommit.limit) +
                     " in memory does not fit into swap of " + format_size(overcommit.swap_size),
                 "raise --swap-size to " + format_size(least) +
                     " or --memory-limit, or compress it with "
                     "--swap-compress");
}

uvm::Status check_pins(const pins::Options& options) {
  if (options.socket.empty() && (options.irq || options.limit != uvm::kNoPinLimit)) {
    return invalid("--pin-limit and --pin-irq are for device processes, and none can come in",
                   "add --pin-socket PATH");
  }
  return check_text("the pin socket's path", options.socket, 107);
}

uvm::Status check_vhost_user(const MachineConfig& config) {
  if (config.vhost_user.empty()) return uvm::ok();
  if (config.vhost_user.size() > vhost_user::kMostDevices) {
    return invalid(std::to_string(config.vhost_user.size()) + " vhost-user devices are too many",
                   std::to_string(vhost_user::kMostDevices) + " are possible");
  }
  if (config.overcommit.limit != 0) {
    return invalid("vhost-user devices and --memory-limit don't go together",
                   "leave one of them out: a back end holds all of the guest's memory");
  }
  for (const vhost_user::Options& device : config.vhost_user) {
    UVMM_CHECK(check_text("a vhost-user socket's path", device.socket, 107));
    if (device.socket.empty())
      return invalid("the path of a vhost-user socket is empty", "name the back end's");
    if (device.kind != vhost_user::Kind::FileSystem) {
      if (device.tag.empty()) continue;
      return invalid("a vhost-user disk has no tag", "leave it out, or make it a file system (fs)");
    }
    UVMM_CHECK(check_text("a file system's tag", device.tag, vhost_user::kMostTagBytes));
    if (device.tag.empty()) return invalid("a vhost-user file system needs a tag", "write SOCKET,tag=TAG");
  }
  return uvm::ok();
}

uvm::Status check_vfio(const MachineConfig& config) {
  constexpr std::size_t kMostDevices = 16;
  const auto& devices = config.vfio;
  if (devices.size() > kMostDevices) {
    return invalid(std::to_string(devices.size()) + " devices of the host are too many",
                   std::to_string(kMostDevices) + " are possible");
  }
  for (std::size_t i = 0; i < devices.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (devices[i].device != devices[j].device) continue;
      return invalid("--vfio names " + vfio::to_string(devices[i]) + " twice", "leave one of them out");
    }
  }
  if (devices.empty() || config.overcommit.limit == 0) return uvm::ok();
  return invalid("--vfio and --memory-limit don't go together",
                 "leave one of them out: all of the guest's memory is pinned for the device");
}

enum class Stage : std::uint8_t { Complete, SoFar };

uvm::Status check_ready_copies(const MachineConfig& config) {
  if (config.control.ready_copies == 0) return uvm::ok();
  if (config.control.socket == "none") {
    return invalid("--ready-copies fork the machine, and it has no control socket",
                   "leave --control none or --ready-copies out");
  }
  if (config.gdb.listen || !config.api_socket.empty()) return uvm::ok();
  return invalid("--ready-copies are for debuggers and the API, and none can come in",
                 "add --gdb WHERE or --api-socket PATH");
}

uvm::Status check(const MachineConfig& config, Stage stage) {
  if (config.vcpus < 1 || config.vcpus > kMaxVcpus) {
    return invalid(std::to_string(config.vcpus) + " vCPUs are not possible",
                   "--cpus takes 1 to " + std::to_string(kMaxVcpus));
  }
  UVMM_CHECK(check_memory(config));
  if (config.gdb.at_start == gdb::AtStart::Wait && !config.gdb.listen) {
    return invalid("-S waits for a debugger, and none can come in", "add -s, or --gdb WHERE");
  }
  UVMM_CHECK(check_pins(config.pins));
  UVMM_CHECK(check_vhost_user(config));
  UVMM_CHECK(check_text("the control socket's path", config.control.socket, 107));
  UVMM_CHECK(check_text("the API socket's path", config.api_socket, 107));
  UVMM_CHECK(check_ready_copies(config));
  UVMM_CHECK(check_vfio(config));
  UVMM_CHECK(check_virtio(config));
  UVMM_CHECK(validate_overcommit(config));
  UVMM_CHECK(check_confinement(config));
  if (stage == Stage::Complete) UVMM_CHECK(check_boot(config));
  if (config.name.empty()) return invalid("the machine's name is empty", "leave --name out for 'uvmm'");
  UVMM_CHECK(check_text("the machine's name", config.name, kMaxName));
  UVMM_CHECK(check_text("the log file's path", config.log_file, 4095));
  UVMM_CHECK(parse_log_level(config.log_level));
  return uvm::ok();
}

}  // namespace

uvm::Status validate_overcommit(const MachineConfig& config) {
  const Overcommit& overcommit = config.overcommit;
  if (overcommit.limit == 0) {
    if (overcommit == Overcommit{}) return uvm::ok();
    return invalid("an option of swap is given without --memory-limit",
                   "say how much RAM may be in memory at once, as in --memory-limit 512M");
  }
  const std::string given = "a memory limit of " + format_size(overcommit.limit);
  if (overcommit.limit < kMinMemoryLimit) {
    return invalid(given + " is too little for a guest to get anywhere",
                   "--memory-limit takes " + format_size(kMinMemoryLimit) + " or more");
  }
  if (overcommit.limit % uvm::kPageSize != 0) {
    return invalid(given + " is not a whole number of 4K pages", "round it to a multiple of 4K");
  }
  if (config.backing == MemoryBacking::Shared) {
    return invalid(given + " and --memory-backing shared don't go together",
                   "leave one of them out: only anonymous memory can be swapped");
  }
  if (overcommit.swap.empty()) {
    return invalid("the path of --swap is empty", "leave --swap out for " + Overcommit{}.swap);
  }
  UVMM_CHECK(check_text("the swap file's path", overcommit.swap, 4095));
  return check_swap_size(config);
}

uvm::Status validate(const MachineConfig& config) {
  return check(config, Stage::Complete);
}

bool waits_for_start(const MachineConfig& config) {
  return !config.api_socket.empty() && config.boot.kernel.empty() && config.boot.builtin.empty() &&
         config.restore.empty();
}

uvm::Status validate_so_far(const MachineConfig& config) {
  return check(config, Stage::SoFar);
}

}  // namespace vmm::config

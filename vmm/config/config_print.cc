// The other direction of config_json.h: a configuration as JSON, and a configuration file's bytes.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cerrno>
#include <utility>

#include "vmm/config/config_json.h"
#include "vmm/config/confinement_words.h"
#include "vmm/config/device_print.h"
#include "vmm/config/json_text.h"
#include "vmm/config/values.h"
#include "vmm/kvm/fd.h"
#include "vmm/log.h"

namespace vmm::config {
namespace {

namespace json = boost::json;

json::object boot_source(const BootSource& boot) {
  json::object object;
  if (!boot.builtin.empty()) object["builtin"] = text(boot.builtin);
  if (!boot.builtin_arguments.empty()) object["builtin_args"] = text(boot.builtin_arguments);
  if (!boot.kernel.empty()) object["kernel_image_path"] = text(boot.kernel);
  if (!boot.initrd.empty()) object["initrd_path"] = text(boot.initrd);
  if (!boot.cmdline.empty()) object["boot_args"] = text(boot.cmdline);
  if (boot.builtin.empty()) object["format"] = text(boot.format);
  if (boot.load_address != 0) object["load_address"] = boot.load_address;
  return object;
}

void add_overcommit(const Overcommit& overcommit, json::object& object) {
  if (overcommit.limit == 0) return;
  object["memory_limit"] = format_size(overcommit.limit);
  object["swap"] = text(overcommit.swap);
  if (overcommit.swap_size != 0) object["swap_size"] = format_size(overcommit.swap_size);
  object["swap_compress"] = overcommit.compress;
  object["swap_error"] = text(to_string(overcommit.on_error));
}

json::object machine_config(const MachineConfig& config) {
  json::object object;
  object["vcpu_count"] = config.vcpus;
  if (config.memory % (std::uint64_t{1} << 20U) == 0) {
    object["mem_size_mib"] = config.memory >> 20U;
  } else {
    object["mem_size_bytes"] = config.memory;
  }
  object["memory_backing"] = text(to_string(config.backing));
  object["huge_pages"] = text(to_string(config.huge_pages));
  add_overcommit(config.overcommit, object);
  object["irqchip"] = text(to_string(config.irqchip));
  if (config.virtio_transport != VirtioTransport::Pci) {
    object["virtio_transport"] = text(to_string(config.virtio_transport));
  }
  object["debug_exit"] = text(to_string(config.debug_exit));
  return object;
}

json::object logger(const MachineConfig& config) {
  json::object object;
  object["level"] = text(config.log_level);
  if (!config.log_file.empty()) object["log_path"] = text(config.log_file);
  return object;
}

json::object debugger(const gdb::Options& options) {
  json::object object;
  if (options.listen) object["listen"] = text(gdb::to_string(*options.listen));
  object["at_start"] = text(to_string(options.at_start));
  object["on_kill"] = text(to_string(options.on_kill));
  object["on_disconnect"] = text(to_string(options.on_disconnect));
  return object;
}

json::object devices(const pins::Options& options) {
  json::object object;
  object["socket"] = text(options.socket);
  if (options.limit != uvm::kNoPinLimit) object["limit"] = format_size(options.limit);
  if (options.irq) object["irq"] = *options.irq;
  return object;
}

json::array vhost_user_devices(const std::vector<vhost_user::Options>& devices) {
  json::array list;
  for (const vhost_user::Options& device : devices) {
    json::object object;
    object["type"] = text(to_string(device.kind));
    object["socket"] = text(device.socket);
    if (!device.tag.empty()) object["tag"] = text(device.tag);
    list.push_back(std::move(object));
  }
  return list;
}

json::array host_devices(const std::vector<vfio::DeviceOptions>& devices) {
  json::array list;
  for (const vfio::DeviceOptions& device : devices) list.push_back(text(vfio::to_string(device)));
  return list;
}

/// Two levels, one member a line.
std::string indented(const json::object& top) {
  std::string out = "{";
  std::string_view between = "\n";
  for (const auto& section : top) {
    out += between;
    between = ",\n";
    out += "  " + json::serialize(json::string(section.key())) + ": ";
    if (!section.value().is_object()) {
      out += json::serialize(section.value());
      continue;
    }
    out += "{";
    std::string_view comma = "\n";
    for (const auto& member : section.value().get_object()) {
      out += comma;
      comma = ",\n";
      out += "    " + json::serialize(json::string(member.key())) + ": " + json::serialize(member.value());
    }
    out += "\n  }";
  }
  return out + "\n}\n";
}

}  // namespace

std::string to_json(const MachineConfig& config) {
  json::object top;
  top["boot-source"] = boot_source(config.boot);
  top["machine-config"] = machine_config(config);
  top["logger"] = logger(config);
  top["name"] = text(config.name);
  top["console"] = text(to_string(config.console));
  top["show-map"] = text(to_string(config.show_map));
  top["gdb"] = debugger(config.gdb);
  if (!config.pins.socket.empty()) top["pins"] = devices(config.pins);
  if (!config.vhost_user.empty()) top["vhost-user"] = vhost_user_devices(config.vhost_user);
  if (!config.vfio.empty()) top["vfio"] = host_devices(config.vfio);
  add_devices(config, top);
  if (config.confinement != confine::Options{}) top["confinement"] = confinement_json(config.confinement);
  return indented(top);
}

uvm::Result<std::string> read_config_file(const std::string& path) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!file) return uvm::Error::from_errno(errno, "configuration " + path);
  std::string bytes;
  std::array<char, 16384> block{};
  for (;;) {
    const ssize_t count = ::read(file.get(), block.data(), block.size());
    if (count == 0) return bytes;
    if (count < 0) {
      if (errno == EINTR) continue;
      return uvm::Error::from_errno(errno, "configuration " + path);
    }
    bytes.append(block.data(), static_cast<std::size_t>(count));
    if (bytes.size() > kMaxConfigText) {
      return uvm::Error(uvm::ErrorKind::Invalid, "configuration " + path + ": larger than " +
                                                     format_size(kMaxConfigText) +
                                                     ", that is no configuration");
    }
  }
}

}  // namespace vmm::config

#include "vmm/config/config_json.h"

#include <array>
#include <boost/json/value.hpp>
#include <cstdint>
#include <limits>
#include <utility>

#include "vmm/config/confinement_words.h"
#include "vmm/config/device_json.h"
#include "vmm/config/json_member.h"
#include "vmm/config/json_text.h"
#include "vmm/config/values.h"

namespace vmm::config {
namespace {

using Member = JsonMember;

constexpr std::uint64_t kMaxMemoryMib = std::numeric_limits<std::uint64_t>::max() >> 20U;

template <std::string BootSource::*field>
uvm::Status set_boot_text(const Member& member, MachineConfig& config) {
  UVMM_TRY(config.boot.*field, member.text());
  return uvm::ok();
}

template <std::string MachineConfig::*field>
uvm::Status set_text(const Member& member, MachineConfig& config) {
  UVMM_TRY(config.*field, member.text());
  return uvm::ok();
}

/// A field whose values have names.
template <auto field, auto parse>
uvm::Status set_word(const Member& member, MachineConfig& config) {
  UVMM_TRY(const std::string word, member.text());
  UVMM_TRY(config.*field, at_path(member, parse(word)));
  return uvm::ok();
}

uvm::Status set_format(const Member& member, MachineConfig& config) {
  UVMM_TRY(const std::string word, member.text());
  UVMM_TRY(config.boot.format, at_path(member, parse_kernel_format(word)));
  return uvm::ok();
}

uvm::Status set_load_address(const Member& member, MachineConfig& config) {
  if (member.value().is_string()) {
    UVMM_TRY(const std::string text, member.text());
    UVMM_TRY(config.boot.load_address, at_path(member, parse_address(text)));
    return uvm::ok();
  }
  UVMM_TRY(config.boot.load_address, member.number(std::numeric_limits<std::uint64_t>::max()));
  return uvm::ok();
}

uvm::Status set_vcpus(const Member& member, MachineConfig& config) {
  UVMM_TRY(const std::uint64_t count, member.number(std::numeric_limits<std::uint32_t>::max()));
  if (count < 1 || count > kMaxVcpus) {
    return member.error("takes 1 to " + std::to_string(kMaxVcpus) + ", not " + std::to_string(count));
  }
  config.vcpus = static_cast<std::uint32_t>(count);
  return uvm::ok();
}

uvm::Status set_memory_mib(const Member& member, MachineConfig& config) {
  UVMM_TRY(const std::uint64_t mebibytes, member.number(kMaxMemoryMib));
  config.memory = mebibytes << 20U;
  return uvm::ok();
}

uvm::Status set_memory_bytes(const Member& member, MachineConfig& config) {
  UVMM_TRY(config.memory, member.number(std::numeric_limits<std::uint64_t>::max()));
  return uvm::ok();
}

/// Firecracker's keys that ask for nothing uvmm would do differently.
uvm::Status check_smt(const Member& member, MachineConfig& /*config*/) {
  UVMM_TRY(const bool smt, member.truth());
  if (!smt) return uvm::ok();
  return member.error("true is not supported: vCPUs are cores of their own",
                      "set it to false or leave it out");
}

/// Firecracker's words first: its "None" is its default and bans nothing, its "2M" is met where the host can.
uvm::Status set_huge_pages(const Member& member, MachineConfig& config) {
  UVMM_TRY(const std::string word, member.text());
  config.huge_pages = HugePages::Auto;
  if (word == "None" || word == "2M") return uvm::ok();
  UVMM_TRY(config.huge_pages, at_path(member, parse_huge_pages(word)));
  return uvm::ok();
}

uvm::Status check_cpu_template(const Member& member, MachineConfig& /*config*/) {
  UVMM_TRY(const std::string word, member.text());
  if (word == "None") return uvm::ok();
  return member.error("takes only \"None\": the guest sees the host's processor", "leave it out");
}

uvm::Status check_log_origin(const Member& member, MachineConfig& /*config*/) {
  UVMM_TRY(const bool wanted, member.truth());
  if (!wanted) return uvm::ok();
  return member.error("true is not supported: log lines carry no source position",
                      "set it to false or leave it out");
}

uvm::Status check_log_module(const Member& member, MachineConfig& /*config*/) {
  UVMM_TRY(const std::string module, member.text());
  if (module.empty() || module == "uvmm") return uvm::ok();
  return member.error("takes only \"uvmm\": the log has one module", "leave it out");
}

uvm::Status refuse_section(const Member& member, MachineConfig& /*config*/) {
  if (member.is_empty()) return uvm::ok();
  return {uvm::Error(uvm::ErrorKind::Unsupported, member.path() + " is not supported yet",
                     "leave it out or make it empty")};
}

/// Firecracker's key: a unix socket's path.
uvm::Status set_gdb_socket(const Member& member, MachineConfig& config) {
  if (member.is_empty()) return uvm::ok();
  UVMM_TRY(const std::string path, member.text());
  UVMM_TRY(config.gdb.listen, at_path(member, gdb::parse_listen_address("unix:" + path)));
  return uvm::ok();
}

uvm::Status set_gdb_listen(const Member& member, MachineConfig& config) {
  UVMM_TRY(const std::string text, member.text());
  UVMM_TRY(config.gdb.listen, at_path(member, gdb::parse_listen_address(text)));
  return uvm::ok();
}

uvm::Status set_gdb_start(const Member& member, MachineConfig& config) {
  UVMM_TRY(const std::string word, member.text());
  UVMM_TRY(config.gdb.at_start, at_path(member, parse_at_start(word)));
  return uvm::ok();
}

uvm::Status set_gdb_on_kill(const Member& member, MachineConfig& config) {
  UVMM_TRY(const std::string word, member.text());
  UVMM_TRY(config.gdb.on_kill, at_path(member, parse_on_kill(word)));
  return uvm::ok();
}

uvm::Status set_gdb_on_disconnect(const Member& member, MachineConfig& config) {
  UVMM_TRY(const std::string word, member.text());
  UVMM_TRY(config.gdb.on_disconnect, at_path(member, parse_on_disconnect(word)));
  return uvm::ok();
}

template <auto field>
uvm::Status set_swap_size(const Member& member, MachineConfig& config) {
  UVMM_TRY(const std::string text, member.text());
  UVMM_TRY(config.overcommit.*field, at_path(member, parse_size(text)));
  return uvm::ok();
}

uvm::Status set_swap_place(const Member& member, MachineConfig& config) {
  UVMM_TRY(config.overcommit.swap, member.text());
  return uvm::ok();
}

uvm::Status set_swap_compress(const Member& member, MachineConfig& config) {
  UVMM_TRY(config.overcommit.compress, member.truth());
  return uvm::ok();
}

uvm::Status set_swap_error(const Member& member, MachineConfig& config) {
  UVMM_TRY(const std::string word, member.text());
  UVMM_TRY(config.overcommit.on_error, at_path(member, parse_swap_error(word)));
  return uvm::ok();
}

constexpr std::array kBootKeys = {
    JsonKey{"kernel_image_path", set_boot_text<&BootSource::kernel>},
    JsonKey{"initrd_path", set_boot_text<&BootSource::initrd>},
    JsonKey{"boot_args", set_boot_text<&BootSource::cmdline>},
    JsonKey{"format", set_format},
    JsonKey{"load_address", set_load_address},
    JsonKey{"builtin", set_boot_text<&BootSource::builtin>},
    JsonKey{"builtin_args", set_boot_text<&BootSource::builtin_arguments>},
};

constexpr std::array kMachineKeys = {
    JsonKey{"vcpu_count", set_vcpus},
    JsonKey{"mem_size_mib", set_memory_mib},
    JsonKey{"mem_size_bytes", set_memory_bytes},
    JsonKey{"smt", check_smt},
    JsonKey{"track_dirty_pages", accept_truth},
    JsonKey{"huge_pages", set_huge_pages},
    JsonKey{"cpu_template", check_cpu_template},
    JsonKey{"gdb_socket_path", set_gdb_socket},
    JsonKey{"memory_backing", set_word<&MachineConfig::backing, parse_backing>},
    JsonKey{"memory_limit", set_swap_size<&Overcommit::limit>},
    JsonKey{"swap", set_swap_place},
    JsonKey{"swap_size", set_swap_size<&Overcommit::swap_size>},
    JsonKey{"swap_compress", set_swap_compress},
    JsonKey{"swap_error", set_swap_error},
    JsonKey{"irqchip", set_word<&MachineConfig::irqchip, parse_irqchip>},
    JsonKey{"virtio_transport", set_word<&MachineConfig::virtio_transport, parse_virtio_transport>},
    JsonKey{"debug_exit", set_word<&MachineConfig::debug_exit, parse_debug_exit>},
};

constexpr std::array kLoggerKeys = {
    JsonKey{"log_path", set_text<&MachineConfig::log_file>},
    JsonKey{"level", set_word<&MachineConfig::log_level, parse_log_level>},
    JsonKey{"show_level", accept_truth},
    JsonKey{"show_log_origin", check_log_origin},
    JsonKey{"module", check_log_module},
};

constexpr std::array kGdbKeys = {
    JsonKey{"listen", set_gdb_listen},
    JsonKey{"at_start", set_gdb_start},
    JsonKey{"on_kill", set_gdb_on_kill},
    JsonKey{"on_disconnect", set_gdb_on_disconnect},
};

uvm::Status set_pin_socket(const Member& member, MachineConfig& config) {
  UVMM_TRY(config.pins.socket, member.text());
  return uvm::ok();
}

uvm::Status set_pin_limit(const Member& member, MachineConfig& config) {
  UVMM_TRY(const std::string text, member.text());
  UVMM_TRY(config.pins.limit, at_path(member, parse_size(text)));
  return uvm::ok();
}

uvm::Status set_pin_irq(const Member& member, MachineConfig& config) {
  UVMM_TRY(const std::uint64_t number, member.number(pins::kLastBellIrq));
  UVMM_TRY(config.pins.irq, at_path(member, parse_pin_irq(std::to_string(number))));
  return uvm::ok();
}

constexpr std::array kPinKeys = {
    JsonKey{"socket", set_pin_socket},
    JsonKey{"limit", set_pin_limit},
    JsonKey{"irq", set_pin_irq},
};

uvm::Status apply_pins(const Member& member, MachineConfig& config) {
  return apply_object(member, kPinKeys, config);
}

// Of the last device in the list, which is the one that is being read.

uvm::Status set_vhost_user_kind(const Member& member, MachineConfig& config) {
  UVMM_TRY(const std::string word, member.text());
  UVMM_TRY(config.vhost_user.back().kind, at_path(member, parse_vhost_user_kind(word)));
  return uvm::ok();
}

template <auto field>
uvm::Status set_vhost_user_text(const Member& member, MachineConfig& config) {
  UVMM_TRY(config.vhost_user.back().*field, member.text());
  return uvm::ok();
}

constexpr std::array kVhostUserKeys = {
    JsonKey{"type", set_vhost_user_kind},
    JsonKey{"socket", set_vhost_user_text<&vhost_user::Options::socket>},
    JsonKey{"tag", set_vhost_user_text<&vhost_user::Options::tag>},
};

uvm::Status apply_vhost_user(const Member& member, MachineConfig& config) {
  const auto* devices = member.value().if_array();
  if (devices == nullptr) return member.error("must be an array of devices");
  for (std::size_t i = 0; i < devices->size(); ++i) {
    config.vhost_user.emplace_back();
    const Member device(member.path() + "[" + std::to_string(i) + "]", (*devices)[i]);
    UVMM_CHECK(apply_object(device, kVhostUserKeys, config));
  }
  return uvm::ok();
}

uvm::Status apply_vfio(const Member& member, MachineConfig& config) {
  const auto* devices = member.value().if_array();
  if (devices == nullptr) return member.error("must be an array of devices");
  for (std::size_t i = 0; i < devices->size(); ++i) {
    const Member device(member.path() + "[" + std::to_string(i) + "]", (*devices)[i]);
    UVMM_TRY(const std::string text, device.text());
    UVMM_TRY(auto options, at_path(device, vfio::parse_device(text)));
    config.vfio.push_back(std::move(options));
  }
  return uvm::ok();
}

uvm::Status apply_gdb(const Member& member, MachineConfig& config) {
  return apply_object(member, kGdbKeys, config);
}

uvm::Status apply_boot(const Member& member, MachineConfig& config) {
  return apply_object(member, kBootKeys, config);
}

uvm::Status apply_machine(const Member& member, MachineConfig& config) {
  UVMM_CHECK(apply_object(member, kMachineKeys, config));
  const auto& members = member.value().get_object();
  if (members.contains("mem_size_mib") && members.contains("mem_size_bytes")) {
    return member.error("has both mem_size_mib and mem_size_bytes", "give one of them");
  }
  return uvm::ok();
}

uvm::Status apply_logger(const Member& member, MachineConfig& config) {
  return apply_object(member, kLoggerKeys, config);
}

constexpr std::array kSections = {
    JsonKey{"boot-source", apply_boot},
    JsonKey{"machine-config", apply_machine},
    JsonKey{"logger", apply_logger},
    JsonKey{"name", set_text<&MachineConfig::name>},
    JsonKey{"console", set_word<&MachineConfig::console, parse_console>},
    JsonKey{"gdb", apply_gdb},
    JsonKey{"pins", apply_pins},
    JsonKey{"vhost-user", apply_vhost_user},
    JsonKey{"vfio", apply_vfio},
    JsonKey{"confinement", apply_confinement},
    JsonKey{"show-map", set_word<&MachineConfig::show_map, parse_show_map>},
    JsonKey{"drives", apply_drives},
    JsonKey{"network-interfaces", apply_networks},
    JsonKey{"vsock", apply_vsock},
    JsonKey{"balloon", apply_balloon},
    JsonKey{"mmds-config", refuse_section},
    JsonKey{"entropy", apply_entropy},
    JsonKey{"metrics", refuse_section},
    JsonKey{"cpu-config", refuse_section},
    JsonKey{"serial", refuse_section},
    JsonKey{"pmem", apply_pmem},
    JsonKey{"memory-hotplug", refuse_section},
};

}  // namespace

uvm::Result<MachineConfig> merge_json(const MachineConfig& base, std::string_view text) {
  UVMM_TRY(const boost::json::value tree, parse_json(text));
  MachineConfig config = base;
  UVMM_CHECK(apply_object(JsonMember({}, tree), kSections, config));
  return config;
}

uvm::Result<MachineConfig> merge_section(const MachineConfig& base, std::string_view section,
                                         const boost::json::value& value) {
  MachineConfig config = base;
  boost::json::object top;
  top[boost::json::string_view(section.data(), section.size())] = value;
  UVMM_CHECK(apply_object(JsonMember({}, boost::json::value(std::move(top))), kSections, config));
  return config;
}

}  // namespace vmm::config

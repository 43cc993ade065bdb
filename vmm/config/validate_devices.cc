#include "vmm/config/validate_devices.h"

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>

#include "uvm/base/units.h"
#include "vmm/config/check_text.h"
#include "vmm/config/values.h"
#include "vmm/text.h"

namespace vmm::config {
namespace {

constexpr std::size_t kLongestPath = 4095;
constexpr std::size_t kLongestSocket = 107;
constexpr std::size_t kLongestPortSuffix = 11;  // "_4294967295"
constexpr std::size_t kLongestInterface = 15;   // IFNAMSIZ, without its NUL

bool is_of_an_id(char byte) {
  return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
         byte == '_' || byte == '-' || byte == '.';
}

uvm::Status check_id(const std::string& what, std::string_view id) {
  if (id.empty()) return invalid(what + " has no id", "name it");
  if (id.size() <= kMaxDeviceId && std::ranges::all_of(id, is_of_an_id)) return uvm::ok();
  return invalid(what + "'s id '" + one_line(id.substr(0, kMaxDeviceId)) + "' is not possible",
                 "take 1 to " + std::to_string(kMaxDeviceId) + " letters, digits and _ - .");
}

/// Not too many, each with an id of its own.
template <class Device>
uvm::Status check_list(const std::vector<Device>& devices, const std::string& what, std::size_t most) {
  if (devices.size() > most) {
    return invalid(std::to_string(devices.size()) + " of " + what + " are too many",
                   std::to_string(most) + " are possible");
  }
  for (auto device = devices.begin(); device != devices.end(); ++device) {
    UVMM_CHECK(check_id(what, device->id));
    if (std::ranges::find(devices.begin(), device, device->id, &Device::id) != device) {
      return invalid(what + " " + device->id + " is there twice", "give each an id of its own");
    }
  }
  return uvm::ok();
}

uvm::Status check_path(const std::string& what, std::string_view path, std::size_t longest) {
  if (path.empty()) return invalid(what + " has an empty path", "name its file");
  return check_text("the path of " + what, path, longest);
}

uvm::Status check_drives(const MachineConfig& config) {
  UVMM_CHECK(check_list(config.drives, "drive", virtio::blk::kMostDisks));
  for (const virtio::blk::Options& drive : config.drives) {
    const std::string what = "drive " + drive.id;
    UVMM_CHECK(check_path(what, drive.path, kLongestPath));
    UVMM_CHECK(check_text("the serial number of " + what, drive.serial, virtio::blk::kMostSerialBytes));
    if (drive.queues > virtio::blk::kMostQueues) {
      return invalid(what + " has " + std::to_string(drive.queues) + " queues",
                     std::to_string(virtio::blk::kMostQueues) + " are possible");
    }
  }
  UVMM_CHECK(check_text("the root's partuuid", config.root_partition, kMaxDeviceId));
  if (config.root_drive.empty()) return uvm::ok();
  if (std::ranges::find(config.drives, config.root_drive, &virtio::blk::Options::id) == config.drives.end()) {
    return invalid("there is no drive " + one_line(config.root_drive) + " for the root", "add it");
  }
  return uvm::ok();
}

uvm::Status check_tap(const std::string& what, const virtio::net::Options& network) {
  if (!network.passt_socket.empty()) {
    return invalid(what + " is a tap interface and has a passt_socket", "leave one of them out");
  }
  const std::string& tap = network.tap;
  if (tap.empty()) return invalid(what + " names no tap interface", "set host_dev_name, or back_end passt");
  if (tap.size() > kLongestInterface || tap == "." || tap == ".." ||
      tap.find_first_of("/: \t") != std::string::npos) {
    return invalid(what + ": '" + one_line(tap.substr(0, kLongestPath)) + "' is no name of an interface",
                   "take 1 to " + std::to_string(kLongestInterface) + " bytes without / and blanks");
  }
  return check_text("the interface of " + what, tap, kLongestInterface);
}

uvm::Status check_networks(const MachineConfig& config) {
  const auto& networks = config.networks;
  UVMM_CHECK(check_list(networks, "network interface", virtio::net::kMostInterfaces));
  for (auto network = networks.begin(); network != networks.end(); ++network) {
    const std::string what = "network interface " + network->id;
    if (network->back_end == virtio::net::BackEnd::Tap) {
      UVMM_CHECK(check_tap(what, *network));
    } else if (!network->tap.empty()) {
      return invalid(what + " is passt's and names the interface " + one_line(network->tap),
                     "leave host_dev_name out");
    }
    UVMM_CHECK(check_text("the socket of " + what, network->passt_socket, kLongestSocket));
    if (!network->mac) continue;
    if (((*network->mac)[0] & 1U) != 0) {
      return invalid("the MAC address " + to_string(*network->mac) + " of " + what + " is of a group",
                     "make its first byte an even one");
    }
    if (std::ranges::find(networks.begin(), network, network->mac, &virtio::net::Options::mac) != network) {
      return invalid("the MAC address " + to_string(*network->mac) + " is there twice",
                     "give each interface one of its own");
    }
  }
  return uvm::ok();
}

uvm::Status check_vsock(const virtio::vsock::Options& vsock) {
  constexpr std::uint32_t kAnyCid = std::numeric_limits<std::uint32_t>::max();
  if (vsock.cid < virtio::vsock::kFirstGuestCid || vsock.cid == kAnyCid) {
    return invalid("a guest's vsock address is not " + std::to_string(vsock.cid),
                   "guest_cid takes " + std::to_string(virtio::vsock::kFirstGuestCid) + " to " +
                       std::to_string(kAnyCid - 1));
  }
  return check_path("the vsock", vsock.socket, kLongestSocket - kLongestPortSuffix);
}

uvm::Status check_balloon(const MachineConfig& config) {
  const std::uint64_t bytes = config.balloon->bytes;
  if (bytes > config.memory) {
    return invalid("a balloon of " + format_size(bytes) + " is more than the guest's memory, " +
                       format_size(config.memory),
                   "lower amount_mib");
  }
  if (bytes % uvm::kPageSize != 0) {
    return invalid("a balloon of " + format_size(bytes) + " is not a whole number of 4K pages",
                   "round it to a multiple of 4K");
  }
  return uvm::ok();
}

}  // namespace

uvm::Status check_virtio(const MachineConfig& config) {
  UVMM_CHECK(check_drives(config));
  UVMM_CHECK(check_networks(config));
  if (config.vsock) UVMM_CHECK(check_vsock(*config.vsock));
  if (config.balloon) UVMM_CHECK(check_balloon(config));
  UVMM_CHECK(check_list(config.pmem, "pmem image", virtio::pmem::kMostImages));
  for (const virtio::pmem::Options& image : config.pmem) {
    UVMM_CHECK(check_path("pmem image " + image.id, image.path, kLongestPath));
  }
  return uvm::ok();
}

}  // namespace vmm::config

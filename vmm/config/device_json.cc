#include "vmm/config/device_json.h"

#include <algorithm>
#include <array>
#include <boost/json/value.hpp>
#include <limits>
#include <string>
#include <utility>

#include "vmm/config/values.h"

namespace vmm::config {
namespace {

using Member = JsonMember;

constexpr std::uint64_t kMostMebibytes = std::numeric_limits<std::uint32_t>::max();

uvm::Status refuse_rate_limit(const Member& member, MachineConfig& /*config*/) {
  const auto* const limits = member.value().if_object();
  if (limits == nullptr) return member.error("must be an object");
  for (const auto& limit : *limits) {
    if (limit.value().is_null()) continue;
    return member.error("is not supported: devices are as fast as the host", "set it to null");
  }
  return uvm::ok();
}

uvm::Status accept_text(const Member& member, MachineConfig& /*config*/) {
  UVMM_CHECK(member.text());
  return uvm::ok();
}

// A device is read at the end of its list, where these put what they read.

template <auto list, auto field>
uvm::Status set_text_of_last(const Member& member, MachineConfig& config) {
  UVMM_TRY((config.*list).back().*field, member.text());
  return uvm::ok();
}

template <auto list, auto field, auto parse>
uvm::Status set_word_of_last(const Member& member, MachineConfig& config) {
  UVMM_TRY(const std::string word, member.text());
  UVMM_TRY((config.*list).back().*field, at_path(member, parse(word)));
  return uvm::ok();
}

/// Every device of a list, behind those that are there.
uvm::Status append_all(const Member& section, MachineConfig& config,
                       uvm::Status (*append)(const Member& device, MachineConfig& config)) {
  const auto* const devices = section.value().if_array();
  if (devices == nullptr) return section.error("must be an array of devices");
  for (std::size_t i = 0; i < devices->size(); ++i) {
    UVMM_CHECK(append(Member(section.path() + "[" + std::to_string(i) + "]", (*devices)[i]), config));
  }
  return uvm::ok();
}

/// The last of the list takes the place of an older one with its id.
template <class Device>
void replace_older(std::vector<Device>& devices) {
  const auto last = devices.end() - 1;
  const auto older = std::ranges::find(devices.begin(), last, last->id, &Device::id);
  if (older == last) return;
  *older = std::move(*last);
  devices.pop_back();
}

// ---- disks

using Drive = virtio::blk::Options;
constexpr auto kDrives = &MachineConfig::drives;

uvm::Status set_read_only(const Member& member, MachineConfig& config) {
  UVMM_TRY(const bool read_only, member.truth());
  config.drives.back().access =
      read_only ? virtio::blk::DiskAccess::ReadOnly : virtio::blk::DiskAccess::ReadWrite;
  return uvm::ok();
}

uvm::Status set_queues(const Member& member, MachineConfig& config) {
  UVMM_TRY(const std::uint64_t queues, member.number(virtio::blk::kMostQueues));
  config.drives.back().queues = static_cast<std::uint32_t>(queues);
  return uvm::ok();
}

uvm::Status set_fork_copy(const Member& member, MachineConfig& config) {
  UVMM_TRY(const std::string word, member.text());
  if (word != "reflink" && word != "copy") return member.error("takes \"reflink\" or \"copy\"");
  using virtio::blk::ForkCopy;
  config.drives.back().fork = word == "copy" ? ForkCopy::Bytes : ForkCopy::Reflink;
  return uvm::ok();
}

uvm::Status check_io_engine(const Member& member, MachineConfig& /*config*/) {
  UVMM_TRY(const std::string word, member.text());
  if (word == "Sync" || word == "Async") return uvm::ok();
  return member.error("takes \"Sync\" or \"Async\"");
}

uvm::Status refuse_socket(const Member& member, MachineConfig& /*config*/) {
  return member.error("is not a disk's here", "name vhost-user back ends in the section vhost-user");
}

constexpr std::array kDriveKeys = {
    JsonKey{"drive_id", set_text_of_last<kDrives, &Drive::id>},
    JsonKey{"path_on_host", set_text_of_last<kDrives, &Drive::path>},
    JsonKey{"is_root_device", accept_truth},
    JsonKey{"partuuid", accept_text},
    JsonKey{"is_read_only", set_read_only},
    JsonKey{"cache_type", set_word_of_last<kDrives, &Drive::flush, parse_cache_type>},
    JsonKey{"io_engine", check_io_engine},
    JsonKey{"serial", set_text_of_last<kDrives, &Drive::serial>},
    JsonKey{"queues", set_queues},
    JsonKey{"fork", set_fork_copy},
    JsonKey{"rate_limiter", refuse_rate_limit},
    JsonKey{"socket", refuse_socket},
};

/// Behind the others, with what makes it the root.
uvm::Status append_drive(const Member& drive, MachineConfig& config) {
  config.drives.emplace_back();
  UVMM_CHECK(apply_object(drive, kDriveKeys, config));
  UVMM_CHECK(drive.require({"drive_id", "path_on_host"}));
  const auto& members = drive.value().get_object();
  const auto* const is_root = members.if_contains("is_root_device");
  const auto* const partition = members.if_contains("partuuid");
  const std::string& id = config.drives.back().id;
  if (is_root != nullptr && *is_root == boost::json::value(true)) {
    if (!config.root_drive.empty() && config.root_drive != id) {
      return drive.error("is a second root device, beside " + config.root_drive,
                         "set is_root_device of one of them to false");
    }
    config.root_drive = id;
    config.root_partition = partition != nullptr && partition->is_string() ? partition->get_string() : "";
  } else if (config.root_drive == id) {
    config.root_drive.clear();
    config.root_partition.clear();
  }
  return uvm::ok();
}

/// The guest calls its first disk /dev/vda.
void root_to_front(MachineConfig& config) {
  auto& drives = config.drives;
  const auto root = std::ranges::find(drives, config.root_drive, &Drive::id);
  if (root != drives.end()) std::rotate(drives.begin(), root, root + 1);
}

// ---- networks

using Network = virtio::net::Options;
constexpr auto kNetworks = &MachineConfig::networks;

constexpr std::array kNetworkKeys = {
    JsonKey{"iface_id", set_text_of_last<kNetworks, &Network::id>},
    JsonKey{"host_dev_name", set_text_of_last<kNetworks, &Network::tap>},
    JsonKey{"guest_mac", set_word_of_last<kNetworks, &Network::mac, parse_mac>},
    JsonKey{"back_end", set_word_of_last<kNetworks, &Network::back_end, parse_net_back_end>},
    JsonKey{"passt_socket", set_text_of_last<kNetworks, &Network::passt_socket>},
    JsonKey{"rx_rate_limiter", refuse_rate_limit},
    JsonKey{"tx_rate_limiter", refuse_rate_limit},
};

uvm::Status append_network(const Member& network, MachineConfig& config) {
  config.networks.emplace_back();
  UVMM_CHECK(apply_object(network, kNetworkKeys, config));
  return network.require({"iface_id"});
}

// ---- the others

uvm::Status set_cid(const Member& member, MachineConfig& config) {
  UVMM_TRY(const std::uint64_t cid, member.number(std::numeric_limits<std::uint32_t>::max()));
  config.vsock->cid = static_cast<std::uint32_t>(cid);
  return uvm::ok();
}

uvm::Status set_vsock_path(const Member& member, MachineConfig& config) {
  UVMM_TRY(config.vsock->socket, member.text());
  return uvm::ok();
}

constexpr std::array kVsockKeys = {
    JsonKey{"guest_cid", set_cid},
    JsonKey{"uds_path", set_vsock_path},
    JsonKey{"vsock_id", accept_text},
};

uvm::Status set_balloon_size(const Member& member, MachineConfig& config) {
  UVMM_TRY(const std::uint64_t mebibytes, member.number(kMostMebibytes));
  config.balloon->bytes = mebibytes << 20U;
  return uvm::ok();
}

uvm::Status set_deflate(const Member& member, MachineConfig& config) {
  UVMM_TRY(const bool deflate, member.truth());
  using virtio::balloon::OutOfMemory;
  config.balloon->out_of_memory = deflate ? OutOfMemory::Deflate : OutOfMemory::Kill;
  return uvm::ok();
}

uvm::Status set_statistics(const Member& member, MachineConfig& config) {
  UVMM_TRY(const std::uint64_t seconds, member.number(std::numeric_limits<std::uint16_t>::max()));
  config.balloon->statistics_seconds = static_cast<std::uint32_t>(seconds);
  return uvm::ok();
}

uvm::Status set_reporting(const Member& member, MachineConfig& config) {
  UVMM_TRY(const bool reporting, member.truth());
  using virtio::balloon::FreePages;
  config.balloon->free_pages = reporting ? FreePages::Reported : FreePages::Kept;
  return uvm::ok();
}

uvm::Status refuse_hinting(const Member& member, MachineConfig& /*config*/) {
  UVMM_TRY(const bool hinting, member.truth());
  if (!hinting) return uvm::ok();
  return member.error("true is not supported", "free_page_reporting does what it does, without a race");
}

constexpr std::array kBalloonKeys = {
    JsonKey{"amount_mib", set_balloon_size},
    JsonKey{"deflate_on_oom", set_deflate},
    JsonKey{"stats_polling_interval_s", set_statistics},
    JsonKey{"free_page_reporting", set_reporting},
    JsonKey{"free_page_hinting", refuse_hinting},
};

constexpr std::array kEntropyKeys = {JsonKey{"rate_limiter", refuse_rate_limit}};

using Image = virtio::pmem::Options;
constexpr auto kImages = &MachineConfig::pmem;

uvm::Status check_image_access(const Member& member, MachineConfig& /*config*/) {
  UVMM_TRY(const bool read_only, member.truth());
  if (read_only) return uvm::ok();
  return member.error("false is not supported: guests share the image", "set it to true, or make it a drive");
}

uvm::Status refuse_root_image(const Member& member, MachineConfig& /*config*/) {
  UVMM_TRY(const bool root, member.truth());
  if (!root) return uvm::ok();
  return member.error("true is not supported", "write root=/dev/pmem0 into boot_args");
}

constexpr std::array kImageKeys = {
    JsonKey{"id", set_text_of_last<kImages, &Image::id>},
    JsonKey{"path_on_host", set_text_of_last<kImages, &Image::path>},
    JsonKey{"read_only", check_image_access},
    JsonKey{"root_device", refuse_root_image},
    JsonKey{"rate_limiter", refuse_rate_limit},
};

uvm::Status append_image(const Member& image, MachineConfig& config) {
  config.pmem.emplace_back();
  UVMM_CHECK(apply_object(image, kImageKeys, config));
  return image.require({"id", "path_on_host", "read_only"});
}

}  // namespace

uvm::Status apply_drives(const JsonMember& section, MachineConfig& config) {
  UVMM_CHECK(append_all(section, config, append_drive));
  root_to_front(config);
  return uvm::ok();
}

uvm::Status apply_networks(const JsonMember& section, MachineConfig& config) {
  return append_all(section, config, append_network);
}

uvm::Status apply_pmem(const JsonMember& section, MachineConfig& config) {
  return append_all(section, config, append_image);
}

uvm::Status apply_vsock(const JsonMember& section, MachineConfig& config) {
  config.vsock.emplace();
  UVMM_CHECK(apply_object(section, kVsockKeys, config));
  return section.require({"guest_cid", "uds_path"});
}

uvm::Status apply_balloon(const JsonMember& section, MachineConfig& config) {
  config.balloon.emplace();
  UVMM_CHECK(apply_object(section, kBalloonKeys, config));
  return section.require({"amount_mib"});
}

uvm::Status apply_entropy(const JsonMember& section, MachineConfig& config) {
  UVMM_CHECK(apply_object(section, kEntropyKeys, config));
  config.entropy = Entropy::Device;
  return uvm::ok();
}

uvm::Status put_drive(const JsonMember& drive, MachineConfig& config) {
  UVMM_CHECK(append_drive(drive, config));
  replace_older(config.drives);
  root_to_front(config);
  return uvm::ok();
}

uvm::Status put_network(const JsonMember& network, MachineConfig& config) {
  UVMM_CHECK(append_network(network, config));
  replace_older(config.networks);
  return uvm::ok();
}

uvm::Status put_pmem(const JsonMember& image, MachineConfig& config) {
  UVMM_CHECK(append_image(image, config));
  replace_older(config.pmem);
  return uvm::ok();
}

}  // namespace vmm::config

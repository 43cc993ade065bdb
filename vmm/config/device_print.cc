#include "vmm/config/device_print.h"

#include <boost/json/value.hpp>
#include <string_view>
#include <utility>

#include "vmm/config/values.h"

namespace vmm::config {
namespace {

namespace json = boost::json;

json::object drive(const virtio::blk::Options& options, const MachineConfig& config) {
  json::object object;
  object["drive_id"] = text(options.id);
  object["path_on_host"] = text(options.path);
  const bool is_root = config.root_drive == options.id;
  object["is_root_device"] = is_root;
  if (is_root && !config.root_partition.empty()) object["partuuid"] = text(config.root_partition);
  object["is_read_only"] = options.access == virtio::blk::DiskAccess::ReadOnly;
  object["cache_type"] = text(to_string(options.flush));
  if (!options.serial.empty()) object["serial"] = text(options.serial);
  if (options.queues != 0) object["queues"] = options.queues;
  if (options.fork == virtio::blk::ForkCopy::Bytes) object["fork"] = "copy";
  return object;
}

json::object network(const virtio::net::Options& options) {
  json::object object;
  object["iface_id"] = text(options.id);
  if (options.back_end != virtio::net::BackEnd::Tap) object["back_end"] = text(to_string(options.back_end));
  if (!options.tap.empty()) object["host_dev_name"] = text(options.tap);
  if (!options.passt_socket.empty()) object["passt_socket"] = text(options.passt_socket);
  if (options.mac) object["guest_mac"] = text(to_string(*options.mac));
  return object;
}

json::object vsock(const virtio::vsock::Options& options) {
  json::object object;
  object["guest_cid"] = options.cid;
  object["uds_path"] = text(options.socket);
  return object;
}

json::object balloon(const virtio::balloon::Options& options) {
  json::object object;
  object["amount_mib"] = options.bytes >> 20U;
  object["deflate_on_oom"] = options.out_of_memory == virtio::balloon::OutOfMemory::Deflate;
  object["stats_polling_interval_s"] = options.statistics_seconds;
  object["free_page_reporting"] = options.free_pages == virtio::balloon::FreePages::Reported;
  return object;
}

json::object image(const virtio::pmem::Options& options) {
  json::object object;
  object["id"] = text(options.id);
  object["path_on_host"] = text(options.path);
  object["read_only"] = true;
  return object;
}

}  // namespace

json::string text(std::string_view value) {
  return json::string(json::string_view(value.data(), value.size()));
}

void add_devices(const MachineConfig& config, json::object& top) {
  json::array drives;
  for (const auto& options : config.drives) drives.push_back(drive(options, config));
  json::array networks;
  for (const auto& options : config.networks) networks.push_back(network(options));
  json::array images;
  for (const auto& options : config.pmem) images.push_back(image(options));
  if (!drives.empty()) top["drives"] = std::move(drives);
  if (!networks.empty()) top["network-interfaces"] = std::move(networks);
  if (config.vsock) top["vsock"] = vsock(*config.vsock);
  if (config.balloon) top["balloon"] = balloon(*config.balloon);
  if (config.entropy == Entropy::Device) top["entropy"] = json::object();
  if (!images.empty()) top["pmem"] = std::move(images);
}

}  // namespace vmm::config

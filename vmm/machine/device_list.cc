#include "vmm/machine/device_list.h"

#include <algorithm>
#include <climits>
#include <string>
#include <utility>

#include "vmm/snapshot/field_lists.h"

namespace vmm {
namespace {

using devices::StateFields;
using snapshot::text;

constexpr std::size_t kLongestId = 255;

/// Of at most `most`, each by `each`.
template <class T, class F>
void items(StateFields& fields, std::vector<T>& values, std::size_t most, F&& each) {
  auto count = static_cast<std::uint32_t>(values.size());
  fields.field(count);
  fields.require(count <= most, "number of devices");
  values.resize(std::min<std::size_t>(count, most));
  for (T& value : values) each(value);
}

template <class T, class F>
void item(StateFields& fields, std::optional<T>& value, F&& each) {
  bool there = value.has_value();
  fields.field(there);
  if (there && !value) value.emplace();
  if (!there) value.reset();
  if (value) each(*value);
}

template <class T>
void choice(StateFields& fields, T& value, T last) {
  fields.field(value);
  fields.require(value <= last, "choice");
}

/// Those of `saved`, at the places that `given` has for the same ids.
template <class T>
std::vector<T> placed(std::vector<T> saved, const std::vector<T>& given) {
  for (T& each : saved) {
    const auto other = std::ranges::find(given, each.id, &T::id);
    if (other != given.end()) each = *other;
  }
  return saved;
}

}  // namespace

DeviceList::DeviceList(const MachineConfig& config)
    : drives_(config.drives),
      networks_(config.networks),
      vsock_(config.vsock),
      balloon_(config.balloon),
      pmem_(config.pmem),
      entropy_(config.entropy),
      transport_(config.virtio_transport) {}

MachineConfig DeviceList::applied_to(MachineConfig config) const {
  config.drives = placed(drives_, config.drives);
  config.networks = placed(networks_, config.networks);
  config.pmem = placed(pmem_, config.pmem);
  if (!vsock_ || !config.vsock) config.vsock = vsock_;
  config.balloon = balloon_;
  config.entropy = entropy_;
  config.virtio_transport = transport_;
  return config;
}

void DeviceList::state(StateFields& fields) {
  items(fields, drives_, virtio::blk::kMostDisks, [&](virtio::blk::Options& disk) {
    text(fields, disk.id, kLongestId);
    text(fields, disk.path, PATH_MAX);
    choice(fields, disk.access, virtio::blk::DiskAccess::ReadOnly);
    choice(fields, disk.flush, virtio::blk::Flush::Ignored);
    text(fields, disk.serial, virtio::blk::kMostSerialBytes);
    fields.field(disk.queues);
    fields.require(disk.queues <= virtio::blk::kMostQueues, "number of queues");
    choice(fields, disk.fork, virtio::blk::ForkCopy::Bytes);
  });
  items(fields, networks_, virtio::net::kMostInterfaces, [&](virtio::net::Options& network) {
    text(fields, network.id, kLongestId);
    choice(fields, network.back_end, virtio::net::BackEnd::Passt);
    text(fields, network.tap, kLongestId);
    text(fields, network.passt_socket, PATH_MAX);
    item(fields, network.mac,
         [&](virtio::net::MacAddress& mac) { fields.bytes(std::as_writable_bytes(std::span(mac))); });
  });
  item(fields, vsock_, [&](virtio::vsock::Options& vsock) {
    fields.field(vsock.cid);
    text(fields, vsock.socket, PATH_MAX);
  });
  item(fields, balloon_, [&](virtio::balloon::Options& balloon) {
    fields.field(balloon.bytes);
    choice(fields, balloon.out_of_memory, virtio::balloon::OutOfMemory::Deflate);
    choice(fields, balloon.free_pages, virtio::balloon::FreePages::Reported);
    fields.field(balloon.statistics_seconds);
  });
  items(fields, pmem_, virtio::pmem::kMostImages, [&](virtio::pmem::Options& image) {
    text(fields, image.id, kLongestId);
    text(fields, image.path, PATH_MAX);
  });
  choice(fields, entropy_, Entropy::Device);
  choice(fields, transport_, VirtioTransport::Mmio);
}

}  // namespace vmm

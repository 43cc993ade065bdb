#include "vmm/machine/virtio_devices.h"

#include <algorithm>
#include <string>
#include <utility>

#include "vmm/machine/blame_option.h"
#include "vmm/machine/machine_metrics.h"
#include "vmm/vhost_user/device.h"
#include "vmm/virtio/balloon/balloon.h"
#include "vmm/virtio/blk/blk.h"
#include "vmm/virtio/console/console.h"
#include "vmm/virtio/local_device.h"
#include "vmm/virtio/mmio_transport.h"
#include "vmm/virtio/net/net.h"
#include "vmm/virtio/pci_transport.h"
#include "vmm/virtio/pmem/pmem.h"
#include "vmm/virtio/rng/rng.h"
#include "vmm/virtio/vsock/vsock.h"

namespace vmm {
namespace {

class VirtioBuilder {
 public:
  VirtioBuilder(Machine::Parts& parts, const guest::MemoryLayout& layout, const MachineImage* image)
      : parts_(parts), layout_(layout), image_(image) {}

  [[nodiscard]] uvm::Status build() {
    // First, so that the guest's /dev/vda is the first of them.
    for (const virtio::blk::Options& disk : parts_.config.drives) UVMM_CHECK(add_disk(disk));
    UVMM_CHECK(add_vhost_user());
    if (parts_.config.entropy == Entropy::Device) {
      UVMM_CHECK(add_local("rng0", std::make_unique<virtio::rng::Rng>(space())));
    }
    if (parts_.config.console == ConsoleMode::Virtio) UVMM_CHECK(add_console());
    UVMM_CHECK(add_balloon());
    UVMM_CHECK(add_images());
    UVMM_CHECK(add_networks());
    UVMM_CHECK(add_vsock());
    return uvm::ok();
  }

 private:
  [[nodiscard]] uvm::Space& space() { return parts_.memory->space(); }
  [[nodiscard]] std::function<bool(std::uint64_t, std::uint64_t)> is_ram() {
    return [&memory = *parts_.memory](std::uint64_t gpa, std::uint64_t bytes) {
      return memory.holds(uvm::Gpa(gpa), bytes);
    };
  }

  [[nodiscard]] uvm::Status add(const std::string& name, std::unique_ptr<virtio::Device> device) {
    if (parts_.config.virtio_transport == VirtioTransport::Mmio) return add_mmio(name, std::move(device));
    const virtio::PciTransport::Environment machine{
        parts_.platform->pci_window(), parts_.interrupts->messages(), parts_.interrupts->message_events(),
        parts_.doorbells, is_ram()};
    UVMM_TRY(auto function, virtio::PciTransport::create(name, machine, std::move(device)));
    UVMM_CHECK(parts_.platform->pci().add(*function));
    parts_.metrics.add([&function = *function, device = MetricWriter::label("device", name)](
                           MetricWriter& writer) { add_troubles(function.troubles(), device, writer); });
    parts_.virtio.push_back(std::move(function));
    return uvm::ok();
  }

  static void add_troubles(const virtio::PciTransport::Troubles& troubles, const std::string& device,
                           MetricWriter& writer) {
    writer.counters("uvmm_device_troubles_total",
                    "Interrupts that were not delivered, doorbells that could not be had.", device,
                    {{"interrupt", troubles.interrupts}, {"doorbell", troubles.doorbells}});
  }

  [[nodiscard]] uvm::Status add_mmio(const std::string& name, std::unique_ptr<virtio::Device> device) {
    virtio::MmioSlots& slots = parts_.platform->virtio_slots();
    constexpr std::size_t kMost = layout::kVirtioMmioIrqs.size();
    if (slots.size() >= kMost) {
      return uvm::Error(
          uvm::ErrorKind::Invalid, "there is no interrupt left for " + name + " without PCI",
          "leave --virtio-transport mmio out, or use at most " + std::to_string(kMost) + " devices");
    }
    devices::IrqLine& line = parts_.interrupts->line(layout::kVirtioMmioIrqs.at(slots.size()));
    UVMM_TRY(auto made, virtio::MmioTransport::create(name, {line, parts_.io, is_ram()}, std::move(device)));
    slots.add(*made);
    parts_.virtio.push_back(std::move(made));
    return uvm::ok();
  }

  [[nodiscard]] uvm::Status add_local(const std::string& name, std::unique_ptr<virtio::Service> service) {
    UVMM_CHECK(add_local(name, uvm::PinOwner::create(name), std::move(service)));
    return uvm::ok();
  }
  /// Of a service that pins, too.
  [[nodiscard]] uvm::Result<virtio::LocalDevice*> add_local(const std::string& name,
                                                            std::shared_ptr<uvm::PinOwner> owner,
                                                            std::unique_ptr<virtio::Service> service) {
    virtio::LocalDevice::Surroundings around{space(), std::move(owner), is_ram()};
    auto device = std::make_unique<virtio::LocalDevice>(name, std::move(around), std::move(service));
    virtio::LocalDevice* const made = device.get();
    UVMM_CHECK(add(name, std::move(device)));
    parts_.metrics.add([&counted = *made, label = MetricWriter::label("device", name)](MetricWriter& writer) {
      writer.counter("uvmm_device_queue_serves_total", "Times that a queue was looked at for work.",
                     counted.served(), label);
    });
    return made;
  }

  [[nodiscard]] uvm::Status add_disk(const virtio::blk::Options& options) {
    UVMM_TRY(auto image, open_disk(options, image_));
    const std::string name = "blk" + std::to_string(parts_.disks.size());
    const auto owner = uvm::PinOwner::create(name);
    const std::uint32_t queues = options.queues != 0 ? options.queues : parts_.config.vcpus;
    auto disk = std::make_unique<virtio::blk::Blk>(
        virtio::blk::Blk::Parts{space(), owner, std::move(image),
                                static_cast<std::uint16_t>(std::min(queues, virtio::blk::kMostQueues))});
    virtio::blk::Blk* const made = disk.get();
    UVMM_TRY(virtio::LocalDevice* const device, add_local(name, owner, std::move(disk)));
    parts_.disks.push_back({made, device});
    return uvm::ok();
  }

  [[nodiscard]] uvm::Status add_vhost_user() {
    const vhost_user::Device::Environment environment{space(), layout_.ram, parts_.config.vcpus};
    unsigned disks = 0;
    unsigned file_systems = 0;
    for (const vhost_user::Options& options : parts_.config.vhost_user) {
      const bool is_disk = options.kind == vhost_user::Kind::Block;
      const std::string name = is_disk ? "vhost-user-blk" + std::to_string(disks++)
                                       : "vhost-user-fs" + std::to_string(file_systems++);
      auto device = vhost_user::Device::create(name, options, environment);
      if (!device) return blame_option(device.error());
      UVMM_CHECK(add(name, *std::move(device)));
    }
    return uvm::ok();
  }

  [[nodiscard]] virtio::Origin origin() const {
    if (parts_.config.control.parent != 0) return virtio::Origin::Forked;
    return parts_.config.restore.empty() ? virtio::Origin::New : virtio::Origin::Restored;
  }

  [[nodiscard]] uvm::Status add_console() {
    auto hvc = std::make_unique<virtio::console::Console>(space(), *parts_.console);
    Console& console = *parts_.console;
    hvc->set_on_input_space([&console] { console.input_space(); });
    parts_.hvc = hvc.get();
    return add_local("console0", std::move(hvc));
  }

  [[nodiscard]] uvm::Status add_balloon() {
    if (!parts_.config.balloon) return uvm::ok();
    auto balloon =
        std::make_unique<virtio::balloon::Balloon>(space(), *parts_.config.balloon, parts_.config.memory);
    parts_.balloon = balloon.get();
    return add_local("balloon0", std::move(balloon));
  }

  [[nodiscard]] uvm::Status add_images() {
    for (const virtio::pmem::Image& image : parts_.images) {
      UVMM_CHECK(add_local(
          image.name, std::make_unique<virtio::pmem::Pmem>(space(), image.range, [&memory = *parts_.memory] {
            return memory.files_written();
          })));
    }
    return uvm::ok();
  }

  [[nodiscard]] uvm::Status add_networks() {
    unsigned networks = 0;
    for (const virtio::net::Options& options : parts_.config.networks) {
      auto interface = virtio::net::create(options, parts_.config.name, space(), origin());
      if (!interface) return blame_option(interface.error());
      const virtio::net::Counters& counters = (*interface)->counters();
      const std::string name = "net" + std::to_string(networks++);
      UVMM_CHECK(add_local(name, *std::move(interface)));
      parts_.metrics.add([&counters, label = MetricWriter::label("device", name)](MetricWriter& writer) {
        add_network(counters, label, writer);
      });
    }
    return uvm::ok();
  }

  [[nodiscard]] uvm::Status add_vsock() {
    if (!parts_.config.vsock) return uvm::ok();
    auto sockets = virtio::vsock::create(*parts_.config.vsock, space(), origin());
    if (!sockets) return blame_option(sockets.error());
    const virtio::vsock::Counters& counters = (*sockets)->counters();
    UVMM_CHECK(add_local("vsock0", *std::move(sockets)));
    parts_.metrics.add([&counters, label = MetricWriter::label("device", "vsock0")](MetricWriter& writer) {
      add_sockets(counters, label, writer);
    });
    return uvm::ok();
  }

  Machine::Parts& parts_;
  const guest::MemoryLayout& layout_;
  const MachineImage* image_;
};

}  // namespace

uvm::Status build_virtio(Machine::Parts& parts, const guest::MemoryLayout& layout,
                         const MachineImage* image) {
  return VirtioBuilder(parts, layout, image).build();
}

}  // namespace vmm

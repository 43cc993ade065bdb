#include "vmm/machine/host_devices.h"

#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <string>
#include <utility>

#include "vmm/log.h"
#include "vmm/vfio/host_device.h"

namespace vmm {

using vfio::DeviceOptions;

/// Calls back when a descriptor of a function's is readable.
class HostDevices::Watch {
 public:
  enum class Next { Wait, Stop };
  Watch(boost::asio::io_context& io, const Fd& event, std::function<Next()> readable)
      : event_(io, event.get()), readable_(std::move(readable)) {
    wait();
  }
  ~Watch() { (void)event_.release(); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  void wait() {
    event_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                      [this](const boost::system::error_code& error) {
                        if (!error && readable_() == Next::Wait) wait();
                      });
  }

  boost::asio::posix::stream_descriptor event_;
  const std::function<Next()> readable_;
};

uvm::Result<std::unique_ptr<HostDevices>> HostDevices::create(std::span<const DeviceOptions> options,
                                                              const Surroundings& around) {
  auto devices = std::unique_ptr<HostDevices>(new HostDevices(around.vm));
  UVMM_CHECK(devices->build(options, around));
  return devices;
}

HostDevices::HostDevices(const kvm::Vm& vm) : windows_(vm) {}
HostDevices::~HostDevices() = default;

uvm::Status HostDevices::build(std::span<const DeviceOptions> options, const Surroundings& around) {
  std::vector<vfio::HostDevice> found;
  for (const DeviceOptions& each : options) {
    UVMM_TRY(auto device, vfio::find_host_device(each));
    found.push_back(device);
  }
  UVMM_TRY(container_, vfio::Container::open(found));
  std::vector<vfio::Device> opened;
  for (const vfio::HostDevice& each : found) {
    UVMM_TRY(auto device, container_->open_device(each));
    opened.push_back(std::move(device));
  }
  // One pin for all; ForkPolicy grows stricter from Copy to Refuse.
  const auto strictest = std::ranges::max(options, {}, &DeviceOptions::fork).fork;
  UVMM_TRY(dma_, vfio::DmaMap::create(around.space, *container_, around.ram, uvm::PinOwner::create("vfio0"),
                                      strictest));
  const vfio::PciPassthrough::Surroundings bus{around.window, around.ports, around.interrupts.messages(),
                                               around.interrupts.message_events(), windows_};
  for (vfio::Device& device : opened) {
    UVMM_TRY(auto function, vfio::PciPassthrough::create(std::move(device), bus));
    UVMM_TRY(const devices::PciSlot slot, around.pci.add(*function));
    UVMM_CHECK(wire(*function, slot, around.interrupts));
    functions_.push_back(std::move(function));
  }
  present_ = functions_.size();
  around.interrupts.set_on_level_end([this](unsigned pin) {
    if (vfio::PciPassthrough* const function = lines_.at(pin)) function->line_ended();
  });
  return uvm::ok();
}

uvm::Status HostDevices::wire(vfio::PciPassthrough& function, devices::PciSlot slot, Interrupts& interrupts) {
  if (!function.has_line()) return uvm::ok();
  const std::uint8_t pin = layout::pci_pin(slot.device, 0);
  const bool is_told = interrupts.kind() == IrqChip::Split;
  if (is_told && lines_.at(pin) == nullptr) {
    lines_.at(pin) = &function;
    return function.wire_line(interrupts.line(pin), pin);
  }
  if (function.has_messages()) return uvm::ok();  // which every driver of its prefers
  const std::string what = function.name() + " has an interrupt line and no messages (MSI, MSI-X), and ";
  if (is_told) {
    return uvm::Error(uvm::ErrorKind::Unsupported, what + "its pin is another device's",
                      "give the guest fewer devices");
  }
  return uvm::Error(uvm::ErrorKind::Unsupported,
                    what + "KVM's I/O APIC does not tell when it has been served",
                    "do without --irqchip full");
}

void HostDevices::start(boost::asio::io_context& io) {
  for (const auto& function : functions_) {
    vfio::PciPassthrough* const each = function.get();
    watches_.push_back(std::make_unique<Watch>(io, each->wanted_back(), [this, each] {
      withdraw(*each);
      return Watch::Next::Stop;
    }));
    const Fd* const line = each->line_event();
    if (line == nullptr) continue;
    watches_.push_back(std::make_unique<Watch>(io, *line, [each] {
      each->line_rose();
      return Watch::Next::Wait;
    }));
  }
}

void HostDevices::withdraw(vfio::PciPassthrough& function) {
  log::event(log::Level::Warning, "device goes back to the host, which asked for it",
             {{"device", function.name()}});
  function.withdraw();
  if (--present_ == 0) dma_.reset();
}

}  // namespace vmm

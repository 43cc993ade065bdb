#include "vmm/machine/host_devices.h"

#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <utility>

#include "vmm/log.h"
#include "vmm/vfio/host_device.h"

namespace vmm {

using vfio::DeviceOptions;

/// Waits for the host to want one device back. The descriptor is the function's.
class HostDevices::Watch {
 public:
  Watch(boost::asio::io_context& io, HostDevices& owner, vfio::PciPassthrough& function)
      : request_(io, function.wanted_back().get()) {
    request_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                        [&owner, &function](const boost::system::error_code& error) {
                          if (!error) owner.withdraw(function);
                        });
  }
  ~Watch() { (void)request_.release(); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  boost::asio::posix::stream_descriptor request_;
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
  UVMM_TRY(container_, vfio::Container::open());
  std::vector<vfio::Device> opened;
  for (const vfio::HostDevice& each : found) {
    UVMM_TRY(auto device, container_->open_device(each));
    opened.push_back(std::move(device));
  }
  // One pin for all; ForkPolicy grows stricter from Copy to Refuse.
  const auto strictest = std::ranges::max(options, {}, &DeviceOptions::fork).fork;
  UVMM_TRY(dma_, vfio::DmaMap::create(around.space, *container_, around.ram, uvm::PinOwner::create("vfio0"),
                                      strictest));
  const vfio::PciPassthrough::Surroundings bus{around.window, around.messages, around.events, windows_};
  for (vfio::Device& device : opened) {
    UVMM_TRY(auto function, vfio::PciPassthrough::create(std::move(device), bus));
    UVMM_CHECK(around.pci.add(*function));
    functions_.push_back(std::move(function));
  }
  present_ = functions_.size();
  return uvm::ok();
}

void HostDevices::start(boost::asio::io_context& io) {
  for (const auto& function : functions_) {
    watches_.push_back(std::make_unique<Watch>(io, *this, *function));
  }
}

void HostDevices::withdraw(vfio::PciPassthrough& function) {
  log::event(log::Level::Warning, "device goes back to the host, which asked for it",
             {{"device", function.name()}});
  function.withdraw();
  if (--present_ == 0) dma_.reset();
}

}  // namespace vmm

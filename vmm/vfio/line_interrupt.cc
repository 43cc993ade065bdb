#include "vmm/vfio/line_interrupt.h"

#include <linux/vfio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <span>
#include <utility>

namespace vmm::vfio {

uvm::Result<bool> LineInterrupt::exists(const Device& device) {
  UVMM_TRY(const std::uint32_t lines, device.irq_count(VFIO_PCI_INTX_IRQ_INDEX));
  return lines != 0;
}

uvm::Result<LineInterrupt> LineInterrupt::create(devices::IrqLine& line) {
  Fd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) return uvm::Error::from_errno(errno, "creating an eventfd");
  return LineInterrupt(line, std::move(event));
}

uvm::Status LineInterrupt::connect(Device& device) {
  const int event = event_.get();
  UVMM_CHECK(device.connect_irqs(VFIO_PCI_INTX_IRQ_INDEX, std::span(&event, 1)));
  is_connected_ = true;
  return uvm::ok();
}

void LineInterrupt::disconnect(Device& device) {
  if (!is_connected_) return;
  device.disconnect_irqs(VFIO_PCI_INTX_IRQ_INDEX);
  is_connected_ = false;
  is_up_ = false;
  line_->set_level(devices::Level::Low);
}

void LineInterrupt::rose() {
  std::uint64_t times = 0;
  if (::read(event_.get(), &times, sizeof(times)) != sizeof(times) || !is_connected_) return;
  is_up_ = true;
  line_->set_level(devices::Level::High);
}

uvm::Status LineInterrupt::ended(Device& device) {
  if (!is_up_) return uvm::ok();
  is_up_ = false;
  line_->set_level(devices::Level::Low);
  return device.unmask_irq(VFIO_PCI_INTX_IRQ_INDEX);
}

}  // namespace vmm::vfio

#include "vmm/vfio/pci_passthrough.h"

#include <linux/vfio.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "vmm/devices/registers.h"
#include "vmm/log.h"

namespace vmm::vfio {

using devices::fill_ones;
using uvm::Status;

namespace {

namespace header = devices::pci;

constexpr std::uint64_t kBarIsIo = 1;
constexpr std::uint64_t kBarType = 6;
constexpr std::uint64_t kBarIsWide = 4;
constexpr std::uint64_t kBarPrefetch = 8;

constexpr std::uint64_t kMsixControl = 2;
constexpr std::uint64_t kMsixTable = 4;
constexpr std::uint64_t kMsixPending = 8;
constexpr std::uint64_t kMsixVectors = 0x7ff;  // less one
constexpr std::uint64_t kMsixBar = 7;

/// What of the guest's command register is the device's too.
constexpr std::uint64_t kCommandPassed =
    header::kCommandMaster | header::kCommandParity | header::kCommandSystemError;

bool holds(const MappableArea& area, std::uint64_t offset) {
  return offset >= area.offset && offset - area.offset < area.bytes;
}

}  // namespace

void PciPassthrough::read_bar(const Region& region, std::uint64_t offset, std::span<std::byte> data) {
  const uvm::MutexLock lock(mutex_);
  fill_ones(data);
  if (!device_) return;
  if (region.index == msix_place_.table_bar && holds(msix_place_.table, offset)) {
    msix_->read_table(offset - msix_place_.table.offset, data);
  } else if (region.index == msix_place_.pending_bar && holds(msix_place_.pending, offset)) {
    msix_->read_pending(offset - msix_place_.pending.offset, data);
  } else if (!device_->read(region, offset, data)) {
    fill_ones(data);
  }
}

void PciPassthrough::write_bar(const Region& region, std::uint64_t offset, std::span<const std::byte> data) {
  const uvm::MutexLock lock(mutex_);
  if (!device_) return;
  if (region.index == msix_place_.table_bar && holds(msix_place_.table, offset)) {
    msix_->write_table(offset - msix_place_.table.offset, data);
  } else if (region.index != msix_place_.pending_bar || !holds(msix_place_.pending, offset)) {
    // What the kernel refuses the device would have ignored.
    (void)device_->write(region, offset, data);
  }
}

Status PciPassthrough::Config::read(std::uint64_t offset, std::span<std::byte> data) {
  if (!owner_.device_) return uvm::Error(uvm::ErrorKind::NotFound, owner_.name_ + " has been withdrawn");
  return owner_.device_->read(owner_.config_region_, offset, data);
}

Status PciPassthrough::Config::write(std::uint64_t offset, std::span<const std::byte> data) {
  if (!owner_.device_) return uvm::Error(uvm::ErrorKind::NotFound, owner_.name_ + " has been withdrawn");
  return owner_.device_->write(owner_.config_region_, offset, data);
}

uvm::Result<std::unique_ptr<PciPassthrough>> PciPassthrough::create(Device device,
                                                                    const Surroundings& around) {
  auto function = std::unique_ptr<PciPassthrough>(new PciPassthrough(std::move(device), around));
  if (auto built = function->build(); !built) return std::move(built).error().with_context(function->name_);
  return function;
}

PciPassthrough::PciPassthrough(Device device, const Surroundings& around)
    : name_(device.name()),
      around_(around),
      device_(std::move(device)),
      bars_(around.window, &around.ports) {}

PciPassthrough::~PciPassthrough() {
  withdraw();
}

Status PciPassthrough::build() {
  wanted_back_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wanted_back_) return uvm::Error::from_errno(errno, "creating an eventfd");
  const uvm::MutexLock lock(mutex_);
  UVMM_TRY(config_region_, device_->region(VFIO_PCI_CONFIG_REGION_INDEX));
  UVMM_TRY(config_, ConfigView::create(host_config_));
  UVMM_CHECK(build_interrupts());
  UVMM_CHECK(build_bars());
  config_->registers().seal();
  follow();
  return uvm::ok();
}

Status PciPassthrough::build_interrupts() {
  UVMM_TRY(const std::uint32_t requests, device_->irq_count(VFIO_PCI_REQ_IRQ_INDEX));
  const int request = wanted_back_.get();
  if (requests != 0) UVMM_CHECK(device_->connect_irqs(VFIO_PCI_REQ_IRQ_INDEX, std::span(&request, 1)));
  UVMM_TRY(has_line_, LineInterrupt::exists(*device_));
  if (const auto place = config_->capability(header::kCapabilityMsi)) {
    UVMM_TRY(msi_, MsiCapability::create(*config_, *place, around_.events));
  }
  const auto place = config_->capability(header::kCapabilityMsix);
  if (!place) return uvm::ok();
  const std::uint64_t vectors = (config_->original(*place + kMsixControl, 2) & kMsixVectors) + 1;
  msix_.emplace(around_.messages, static_cast<unsigned>(vectors));
  UVMM_CHECK(msix_->back_by_events(around_.events));
  config_->keep(*place + kMsixControl, vectors - 1, 0, 2);
  msix_->set_capability(config_->registers(), *place);
  const std::uint64_t table = config_->original(*place + kMsixTable, 4);
  const std::uint64_t pending = config_->original(*place + kMsixPending, 4);
  msix_place_ = {{table & ~kMsixBar, msix_->table_bytes()},
                 static_cast<std::uint32_t>(table & kMsixBar),
                 {pending & ~kMsixBar, msix_->pending_bytes()},
                 static_cast<std::uint32_t>(pending & kMsixBar)};
  return uvm::ok();
}

Status PciPassthrough::build_bars() {
  for (unsigned index = 0; index < bar_devices_.size(); ++index) {
    const std::uint64_t flags = config_->original(header::kFirstBar + 4 * std::uint64_t{index}, 4);
    devices::PciBar bar;
    bar.index = index;
    UVMM_TRY(auto region, device_->region(VFIO_PCI_BAR0_REGION_INDEX + index));
    if (region.bytes == 0) continue;
    bar.bytes = region.bytes;
    if ((flags & kBarIsIo) != 0) {
      bar.space = devices::BarSpace::Ports;
      has_ports_ = true;
    } else {
      if ((flags & kBarType) == kBarIsWide) bar.width = devices::BarWidth::Bits64;
      if ((flags & kBarPrefetch) != 0) bar.prefetch = devices::BarPrefetch::Yes;
    }
    UVMM_CHECK(build_bar(bar, std::move(region)));
    if (bar.width == devices::BarWidth::Bits64) ++index;
  }
  bars_.set_on_moved([this](unsigned index, std::optional<std::uint64_t> gpa) {
    if (auto& windows = bar_devices_.at(index)->windows) windows->move_to(gpa);
  });
  return uvm::ok();
}

Status PciPassthrough::build_bar(const devices::PciBar& bar, Region region) {
  auto& device = bar_devices_.at(bar.index);
  device = std::make_unique<Bar>(*this, std::move(region));
  if (bar.space == devices::BarSpace::Memory) {
    const auto shown = areas_to_show(device->region().areas, trapped(bar.index));
    UVMM_TRY(device->windows, BarWindows::create(*device_, device->region(), shown, around_.windows));
  }
  return bars_.add(config_->registers(), bar, *device);
}

std::vector<MappableArea> PciPassthrough::trapped(std::uint32_t bar) const {
  std::vector<MappableArea> areas;
  if (msix_place_.table_bar == bar) areas.push_back(msix_place_.table);
  if (msix_place_.pending_bar == bar) areas.push_back(msix_place_.pending);
  std::ranges::sort(areas, {}, &MappableArea::offset);
  return areas;
}

void PciPassthrough::read_config(std::uint64_t offset, std::span<std::byte> data) {
  const uvm::MutexLock lock(mutex_);
  if (device_) {
    config_->read(offset, data);
  } else {
    fill_ones(data);
  }
}

void PciPassthrough::write_config(std::uint64_t offset, std::span<const std::byte> data) {
  const uvm::MutexLock lock(mutex_);
  if (!device_) return;
  config_->write(offset, data);
  follow();
}

void PciPassthrough::reset() {
  const uvm::MutexLock lock(mutex_);
  if (!device_) return;
  config_->registers().reset();
  if (msix_) msix_->reset();
  follow();
  if (!device_->can_reset()) return;
  if (const auto done = device_->reset(); !done) {
    log::event(log::Level::Warning, "device could not be reset", {{"error", done.error().text()}});
  }
  host_command_ = 0;
  follow_command();
}

void PciPassthrough::withdraw() {
  const uvm::MutexLock lock(mutex_);
  if (!device_) return;
  device_->disconnect_irqs(VFIO_PCI_REQ_IRQ_INDEX);
  (void)connect(Interrupts::Off);
  // Each mapping keeps the device's file open.
  for (const auto& bar : bar_devices_) {
    if (bar) bar->windows.reset();
  }
  device_.reset();
}

bool PciPassthrough::has_messages() const {
  const uvm::MutexLock lock(mutex_);
  return msi_ || msix_;
}

Status PciPassthrough::wire_line(devices::IrqLine& line, std::uint8_t number) {
  const uvm::MutexLock lock(mutex_);
  UVMM_TRY(line_, LineInterrupt::create(line));
  config_->keep(header::kInterruptPin, 1, 0, 1);
  config_->keep(header::kInterruptLine, number, 0xff, 1);
  config_->registers().seal();
  return uvm::ok();
}

void PciPassthrough::line_rose() {
  const uvm::MutexLock lock(mutex_);
  line_->rose();
}

void PciPassthrough::line_ended() {
  const uvm::MutexLock lock(mutex_);
  if (!device_ || connected_ != Interrupts::Line) return;
  if (const auto done = line_->ended(*device_); !done) {
    log::event(log::Level::Error, "device raises its line no more", {{"error", done.error().text()}});
  }
}

void PciPassthrough::follow() {
  follow_interrupts();
  follow_command();
  bars_.follow(config_->registers());
}

void PciPassthrough::follow_command() {
  std::uint64_t command = config_->registers().get(header::kCommand, 2) & kCommandPassed;
  command |= header::kCommandMemory;
  if (has_ports_) command |= header::kCommandPorts;
  if (connected_ != Interrupts::Line) command |= header::kCommandNoInterruptLine;
  if (command == host_command_) return;
  host_command_ = command;
  std::array<std::byte, 2> bytes{};
  devices::store_le(bytes, command);
  if (const auto done = device_->write(config_region_, header::kCommand, bytes); !done) {
    log::event(log::Level::Error, "device does not take commands", {{"error", done.error().text()}});
  }
}

void PciPassthrough::follow_interrupts() {
  if (msi_) msi_->follow(config_->registers());
  if (msix_) msix_->follow(config_->registers());
  const Interrupts wanted = wanted_interrupts();
  if (wanted == connected_) return;
  if (const auto done = connect(wanted); !done) {
    log::event(log::Level::Error, "device has no interrupts", {{"error", done.error().text()}});
  }
}

PciPassthrough::Interrupts PciPassthrough::wanted_interrupts() const {
  if (msix_ && msix_->enabled()) return Interrupts::Msix;
  if (msi_ && msi_->enabled()) return Interrupts::Msi;
  // A driver that has not turned the device on has no use for its line either.
  const std::uint64_t command = config_->registers().get(header::kCommand, 2);
  const bool is_on = (command & (header::kCommandMemory | header::kCommandPorts)) != 0;
  const bool is_heard = (command & header::kCommandNoInterruptLine) == 0;
  return line_ && is_on && is_heard ? Interrupts::Line : Interrupts::Off;
}

Status PciPassthrough::connect(Interrupts wanted) {
  if (connected_ == Interrupts::Line) line_->disconnect(*device_);
  if (connected_ == Interrupts::Msi) device_->disconnect_irqs(VFIO_PCI_MSI_IRQ_INDEX);
  if (connected_ == Interrupts::Msix) device_->disconnect_irqs(VFIO_PCI_MSIX_IRQ_INDEX);
  connected_ = wanted;
  std::vector<int> events;
  if (wanted == Interrupts::Msi) {
    events.push_back(msi_->event().get());
    return device_->connect_irqs(VFIO_PCI_MSI_IRQ_INDEX, events);
  }
  if (wanted == Interrupts::Line) return line_->connect(*device_);
  if (wanted == Interrupts::Off) return uvm::ok();
  for (unsigned vector = 0; vector < msix_->vectors(); ++vector)
    events.push_back(msix_->event(vector)->get());
  return device_->connect_irqs(VFIO_PCI_MSIX_IRQ_INDEX, events);
}

}  // namespace vmm::vfio

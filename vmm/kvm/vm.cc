#include "vmm/kvm/vm.h"

#include <string>

#include "vmm/kvm/abi.h"
#include "vmm/kvm/ioctl.h"
#include "vmm/kvm/vcpu.h"

namespace vmm::kvm {

using uvm::Error;
using uvm::ErrorKind;
using uvm::Result;
using uvm::Status;

Result<Vm> Vm::create(const System& system) {
  const int fd = call(system.fd(), KVM_CREATE_VM, 0);
  if (fd < 0) return Error::from_errno(errno, "KVM_CREATE_VM", "uvmm doctor shows what this host lacks");
  Vm vm(Fd(fd), system.vcpu_mmap_size());
  UVMM_CHECK(vm.reserve_vmx_scratch());
  return vm;
}

Status Vm::reserve_vmx_scratch() {
  std::uint64_t identity_map = kVmxScratch;
  if (check_extension(KVM_CAP_SET_IDENTITY_MAP_ADDR) != 0 &&
      call(fd_.get(), KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0) {
    return Error::from_errno(errno, "KVM_SET_IDENTITY_MAP_ADDR " + uvm::hex(identity_map));
  }
  constexpr std::uint64_t kTss = kVmxScratch + uvm::kPageSize;
  if (check_extension(KVM_CAP_SET_TSS_ADDR) != 0 && call(fd_.get(), KVM_SET_TSS_ADDR, kTss) < 0) {
    return Error::from_errno(errno, "KVM_SET_TSS_ADDR " + uvm::hex(kTss));
  }
  return uvm::ok();
}

int Vm::check_extension(int capability) const {
  const int value = call(fd_.get(), KVM_CHECK_EXTENSION, capability);
  return value < 0 ? 0 : value;
}

Status Vm::enable_cap(std::uint32_t capability, std::uint64_t argument, std::string_view name) {
  kvm_enable_cap request{};
  request.cap = capability;
  request.args[0] = argument;
  if (call(fd_.get(), KVM_ENABLE_CAP, &request) < 0) {
    return Error::from_errno(errno, "enabling " + std::string(name));
  }
  return uvm::ok();
}

Status Vm::create_split_irqchip(std::uint32_t routes) {
  return enable_cap(KVM_CAP_SPLIT_IRQCHIP, routes, "the split irqchip");
}

Status Vm::create_full_irqchip(Pit pit) {
  if (call(fd_.get(), KVM_CREATE_IRQCHIP, 0) < 0) return Error::from_errno(errno, "KVM_CREATE_IRQCHIP");
  if (pit == Pit::No) return uvm::ok();
  kvm_pit_config config{};
  config.flags = KVM_PIT_SPEAKER_DUMMY;  // port 0x61 too: Linux calibrates with it
  if (call(fd_.get(), KVM_CREATE_PIT2, &config) < 0) return Error::from_errno(errno, "KVM_CREATE_PIT2");
  return uvm::ok();
}

Status Vm::enable_x2apic_api() {
  return enable_cap(KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK,
                    "the x2APIC API");
}

Status Vm::set_routing(const Routing& routing) {
  std::vector<kvm_irq_routing_entry> entries;
  entries.reserve(routing.pins.size() + routing.messages.size());
  for (const PinRoute& pin : routing.pins) {
    kvm_irq_routing_entry& entry = entries.emplace_back();
    entry.gsi = pin.gsi;
    entry.type = KVM_IRQ_ROUTING_IRQCHIP;
    entry.u.irqchip.irqchip = pin.chip;
    entry.u.irqchip.pin = pin.pin;
  }
  for (const MsiRoute& message : routing.messages) {
    kvm_irq_routing_entry& entry = entries.emplace_back();
    entry.gsi = message.gsi;
    entry.type = KVM_IRQ_ROUTING_MSI;
    entry.u.msi.address_lo = static_cast<std::uint32_t>(message.msi.address);
    entry.u.msi.address_hi = static_cast<std::uint32_t>(message.msi.address >> 32);
    entry.u.msi.data = message.msi.data;
  }
  Flexible<abi::RoutingHeader, kvm_irq_routing_entry> table{std::span<const kvm_irq_routing_entry>(entries)};
  if (call(fd_.get(), abi::kSetGsiRouting, &table.header()) < 0) {
    return Error::from_errno(errno, "KVM_SET_GSI_ROUTING of " + std::to_string(entries.size()) + " routes");
  }
  return uvm::ok();
}

Result<bool> Vm::signal_msi(const Msi& msi) {
  kvm_msi request{};
  request.address_lo = static_cast<std::uint32_t>(msi.address);
  request.address_hi = static_cast<std::uint32_t>(msi.address >> 32);
  request.data = msi.data;
  const int delivered = call(fd_.get(), KVM_SIGNAL_MSI, &request);
  if (delivered < 0) {
    return Error::from_errno(errno,
                             "KVM_SIGNAL_MSI to " + uvm::hex(msi.address) + " data " + uvm::hex(msi.data));
  }
  return delivered > 0;
}

Status Vm::irq_line(std::uint32_t gsi, Level level) {
  kvm_irq_level request{};
  request.irq = gsi;
  request.level = level == Level::High ? 1 : 0;
  if (call(fd_.get(), KVM_IRQ_LINE, &request) < 0) {
    return Error::from_errno(errno, "KVM_IRQ_LINE of gsi " + std::to_string(gsi));
  }
  return uvm::ok();
}

Status Vm::attach_irqfd(const Fd& event, std::uint32_t gsi, const Fd* resample) {
  kvm_irqfd request{};
  request.fd = static_cast<std::uint32_t>(event.get());
  request.gsi = gsi;
  if (resample != nullptr) {
    request.flags = KVM_IRQFD_FLAG_RESAMPLE;
    request.resamplefd = static_cast<std::uint32_t>(resample->get());
  }
  if (call(fd_.get(), KVM_IRQFD, &request) < 0) {
    return Error::from_errno(errno, "attaching an irqfd to gsi " + std::to_string(gsi));
  }
  return uvm::ok();
}

Status Vm::detach_irqfd(const Fd& event, std::uint32_t gsi) {
  kvm_irqfd request{};
  request.fd = static_cast<std::uint32_t>(event.get());
  request.gsi = gsi;
  request.flags = KVM_IRQFD_FLAG_DEASSIGN;
  if (call(fd_.get(), KVM_IRQFD, &request) < 0) {
    return Error::from_errno(errno, "detaching the irqfd of gsi " + std::to_string(gsi));
  }
  return uvm::ok();
}

Status Vm::attach_doorbell(const DoorbellSpec& spec, const Fd& event) {
  return doorbell(spec, event, 0);
}

Status Vm::detach_doorbell(const DoorbellSpec& spec, const Fd& event) {
  return doorbell(spec, event, KVM_IOEVENTFD_FLAG_DEASSIGN);
}

Status Vm::doorbell(const DoorbellSpec& spec, const Fd& event, std::uint32_t extra_flags) {
  kvm_ioeventfd request{};
  request.addr = spec.address;
  request.len = spec.bytes;
  request.fd = event.get();
  request.flags = extra_flags;
  if (spec.space == BusSpace::Pio) request.flags |= KVM_IOEVENTFD_FLAG_PIO;
  if (spec.match) {
    request.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
    request.datamatch = *spec.match;
  }
  if (call(fd_.get(), KVM_IOEVENTFD, &request) < 0) {
    const char* space = spec.space == BusSpace::Pio ? "port " : "gpa ";
    return Error::from_errno(errno, "KVM_IOEVENTFD at " + (space + uvm::hex(spec.address)));
  }
  return uvm::ok();
}

Result<std::unique_ptr<Vcpu>> Vm::create_vcpu(std::uint32_t id) {
  const int fd = call(fd_.get(), KVM_CREATE_VCPU, static_cast<unsigned long>(id));
  if (fd < 0) {
    const int number = errno;
    const std::string what = "creating vCPU " + std::to_string(id);
    if (number == EINVAL) {
      return Error(ErrorKind::Invalid,
                   what + ": this host allows ids below " +
                       std::to_string(check_extension(KVM_CAP_MAX_VCPU_ID)) + " and " +
                       std::to_string(check_extension(KVM_CAP_MAX_VCPUS)) + " vCPUs a VM",
                   "ask for fewer vCPUs");
    }
    return Error::from_errno(number, what);
  }
  return Vcpu::create(Fd(fd), id, vcpu_mmap_size_, check_extension(KVM_CAP_SYNC_REGS),
                      check_extension(KVM_CAP_XSAVE2));
}

Status Vm::dirty_log(std::uint32_t slot, std::span<std::uint64_t> bitmap) const {
  kvm_dirty_log request{};
  request.slot = slot;
  request.dirty_bitmap = bitmap.data();
  if (call(fd_.get(), KVM_GET_DIRTY_LOG, &request) < 0) {
    return Error::from_errno(errno, "KVM_GET_DIRTY_LOG of slot " + std::to_string(slot));
  }
  return uvm::ok();
}

}  // namespace vmm::kvm

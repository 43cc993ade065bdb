#include "vmm/machine/machine_shape.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "uvm/base/units.h"
#include "vmm/snapshot/field_lists.h"
#include "vmm/snapshot/section_fields.h"

namespace vmm {
namespace {

constexpr std::size_t kLongestName = 255;

}  // namespace

MachineShape::MachineShape(const MachineConfig& config, IrqChip irqchip, DebugExitStatus debug_exit)
    : name_(config.name),
      vcpus_(config.vcpus),
      memory_(config.memory),
      irqchip_(irqchip),
      debug_exit_(debug_exit),
      devices_(config) {}

void MachineShape::state(devices::StateFields& fields) {
  snapshot::text(fields, name_, kLongestName);
  const auto printable = [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; };
  fields.require(!name_.empty() && std::ranges::all_of(name_, printable), "name");
  fields.field(vcpus_);
  fields.require(vcpus_ >= 1 && vcpus_ <= kMaxVcpus, "number of vCPUs");
  fields.field(memory_);
  fields.require(memory_ != 0 && memory_ % uvm::kPageSize == 0 && memory_ < uvm::kAddressLimit, "memory");
  fields.field(irqchip_);
  fields.require(irqchip_ == IrqChip::Split || irqchip_ == IrqChip::Full, "interrupt controller");
  fields.field(debug_exit_);
  fields.require(debug_exit_ == DebugExitStatus::Qemu || debug_exit_ == DebugExitStatus::Plain, "debug exit");
  if (fields.version() >= 2) devices_.state(fields);
}

uvm::Result<MachineShape> MachineShape::read(std::span<const std::byte> state) {
  UVMM_TRY(const auto table, snapshot::SectionTable::read(state));
  MachineShape shape;
  UVMM_CHECK(snapshot::restore(table, shape));
  return shape;
}

MachineConfig MachineShape::applied_to(MachineConfig config) const {
  config.vcpus = vcpus_;
  config.memory = memory_;
  config.irqchip = irqchip_;
  config.debug_exit = debug_exit_;
  return devices_.applied_to(std::move(config));
}

uvm::Status MachineShape::check_fits(const MachineShape& saved) const {
  const auto differ = [](const char* what, std::uint64_t there, std::uint64_t here) {
    return uvm::Error(uvm::ErrorKind::Invalid,
                      "machine state: saved with " + std::to_string(there) + " " + what +
                          ", this machine has " + std::to_string(here),
                      "restore it into a machine of the same shape");
  };
  if (saved.vcpus_ != vcpus_) return differ("vCPUs", saved.vcpus_, vcpus_);
  if (saved.memory_ != memory_) return differ("bytes of memory", saved.memory_, memory_);
  if (saved.irqchip_ == irqchip_) return uvm::ok();
  return uvm::Error(uvm::ErrorKind::Invalid, "machine state: saved with other interrupt controllers",
                    saved.irqchip_ == IrqChip::Full ? "say --irqchip full" : "say --irqchip split");
}

}  // namespace vmm

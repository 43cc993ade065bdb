#include "vmm/machine/machine_state.h"

#include <algorithm>

#include "vmm/snapshot/section_fields.h"
#include "vmm/snapshot/vcpu_state.h"

namespace vmm {
namespace {

using snapshot::SectionTable;
using snapshot::SectionWriter;

/// kvmclock, in nanoseconds.
class ClockState final : public devices::Stateful {
 public:
  [[nodiscard]] std::string_view state_name() const override { return "kvmclock"; }
  void state(devices::StateFields& fields) override { fields.field(ns); }
  std::uint64_t ns = 0;
};

std::uint16_t instance_of(std::size_t vcpu) {
  return static_cast<std::uint16_t>(vcpu);
}

uvm::Status save_clock(const kvm::Vm& vm, SectionWriter& writer) {
  ClockState clock;
  UVMM_TRY(clock.ns, vm.clock_ns());
  snapshot::save(writer, clock);
  return uvm::ok();
}

uvm::Status restore_clock(kvm::Vm& vm, const SectionTable& table) {
  ClockState clock;
  UVMM_CHECK(snapshot::restore(table, clock));
  return vm.set_clock_ns(clock.ns);
}

/// A state from before there was one has none, and its guest knows of none.
uvm::Status restore_generation_id(devices::GenerationId& id, const SectionTable& table) {
  const bool is_saved =
      std::ranges::find(table.all(), id.state_name(), &snapshot::Section::name) != table.all().end();
  return is_saved ? snapshot::restore(table, id) : uvm::ok();
}

uvm::Status ask_msrs(Machine::Parts& parts) {
  if (!parts.saved_msrs.empty()) return uvm::ok();
  UVMM_TRY(const auto candidates, parts.system.msr_indices());
  parts.saved_msrs = snapshot::VcpuState::readable_msrs(parts.vcpus->vcpu(0), candidates);
  return uvm::ok();
}

/// What is refused, is refused before anything is changed.
uvm::Result<std::vector<snapshot::VcpuState>> read_vcpus(const SectionTable& table, std::size_t count) {
  std::vector<snapshot::VcpuState> vcpus(count);
  for (std::size_t i = 0; i < count; ++i) UVMM_CHECK(snapshot::restore(table, vcpus[i], instance_of(i)));
  return vcpus;
}

std::vector<std::string> titles_of(Machine::Parts& parts, std::span<devices::Stateful* const> devices) {
  std::vector<std::string> titles{"machine", "kvmclock", std::string(parts.interrupts->state_name()),
                                  std::string(parts.platform->generation_id().state_name())};
  for (const devices::Stateful* const device : devices) titles.emplace_back(device->state_name());
  for (std::size_t i = 0; i < parts.vcpus->size(); ++i) titles.push_back("vcpu " + std::to_string(i));
  return titles;
}

}  // namespace

MachineShape shape_of(Machine::Parts& parts) {
  return {parts.config, parts.interrupts->kind(), debug_exit_style(parts.config)};
}

uvm::Result<std::vector<std::byte>> save_state(Machine::Parts& parts) {
  UVMM_TRY(const auto devices, parts.platform->stateful());
  UVMM_CHECK(ask_msrs(parts));
  SectionWriter writer;
  MachineShape shape = shape_of(parts);
  snapshot::save(writer, shape);
  for (devices::Stateful* const device : devices) snapshot::save(writer, *device);
  snapshot::save(writer, parts.platform->generation_id());
  UVMM_CHECK(parts.interrupts->save(writer));
  for (std::size_t i = 0; i < parts.vcpus->size(); ++i) {
    UVMM_TRY(auto vcpu, snapshot::VcpuState::take(parts.vcpus->vcpu(i), parts.saved_msrs));
    snapshot::save(writer, vcpu, instance_of(i));
  }
  UVMM_CHECK(save_clock(parts.vm, writer));
  return std::move(writer).finish();
}

uvm::Result<std::vector<std::vector<kvm_cpuid_entry2>>> saved_cpuids(std::span<const std::byte> state,
                                                                     std::size_t vcpus) {
  UVMM_TRY(const auto table, SectionTable::read(state));
  UVMM_TRY(const auto saved, read_vcpus(table, vcpus));
  std::vector<std::vector<kvm_cpuid_entry2>> cpuids;
  for (const snapshot::VcpuState& vcpu : saved) cpuids.push_back(vcpu.cpuid());
  return cpuids;
}

uvm::Status restore_state(Machine::Parts& parts, std::span<const std::byte> state) {
  UVMM_TRY(const auto table, SectionTable::read(state));
  MachineShape saved;
  UVMM_CHECK(snapshot::restore(table, saved));
  UVMM_CHECK(shape_of(parts).check_fits(saved));
  UVMM_TRY(const auto devices, parts.platform->stateful());
  UVMM_TRY(const auto vcpus, read_vcpus(table, parts.vcpus->size()));
  UVMM_CHECK(table.check_known(titles_of(parts, devices)));
  UVMM_CHECK(restore_clock(parts.vm, table));
  for (std::size_t i = 0; i < vcpus.size(); ++i) UVMM_CHECK(vcpus[i].give(parts.vcpus->vcpu(i)));
  UVMM_CHECK(parts.interrupts->restore(table));
  for (devices::Stateful* const device : devices) UVMM_CHECK(snapshot::restore(table, *device));
  return restore_generation_id(parts.platform->generation_id(), table);
}

}  // namespace vmm

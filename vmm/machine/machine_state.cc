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
  [[nodiscard]] std::uint16_t state_version() const override { return 2; }
  void state(devices::StateFields& fields) override {
    fields.field(ns);
    if (fields.version() >= 2) fields.field(wall_ns);
  }
  std::uint64_t ns = 0;
  std::uint64_t wall_ns = 0;  // of the host, since 1970, at that moment; 0: not known
};

std::uint16_t instance_of(std::size_t vcpu) {
  return static_cast<std::uint16_t>(vcpu);
}

uvm::Status save_clock(const kvm::Vm& vm, SectionWriter& writer) {
  UVMM_TRY(const kvm::GuestClock now, vm.clock());
  ClockState clock;
  clock.ns = now.guest_ns;
  clock.wall_ns = now.wall_ns.value_or(HostClock().wall_ns());
  snapshot::save(writer, clock);
  return uvm::ok();
}

/// How much time the guest has missed and is to find gone, in nanoseconds. A host whose clock was set back
/// takes nothing from it.
uvm::Result<std::uint64_t> missed_ns(const ClockState& clock, ClockPolicy policy) {
  if (policy == ClockPolicy::Continue) return std::uint64_t{0};
  if (clock.wall_ns == 0) {
    return uvm::Error(uvm::ErrorKind::Unsupported, "machine state: it does not say when it was saved",
                      "leave --clock host out");
  }
  const std::uint64_t now = HostClock().wall_ns();
  return now > clock.wall_ns ? now - clock.wall_ns : 0;
}

/// `ns` in ticks of the guest's time-stamp counters.
uvm::Result<std::uint64_t> tsc_ticks(const kvm::Vcpu& vcpu, std::uint64_t ns) {
  constexpr std::uint64_t kMillisecondNs = 1'000'000;
  if (ns == 0) return std::uint64_t{0};
  UVMM_TRY(const std::uint64_t khz, vcpu.tsc_khz());
  return ns / kMillisecondNs * khz + ns % kMillisecondNs * khz / kMillisecondNs;
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
  const auto shape = [&](const MachineConfig& config) {
    return MachineShape(config, parts.interrupts->kind(), debug_exit_style(config));
  };
  if (parts.disks.empty()) return shape(parts.config);
  MachineConfig now = parts.config;
  now.drives = disks_now(parts);
  return shape(now);
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

uvm::Status restore_state(Machine::Parts& parts, std::span<const std::byte> state, ClockPolicy policy) {
  UVMM_TRY(const auto table, SectionTable::read(state));
  MachineShape saved;
  UVMM_CHECK(snapshot::restore(table, saved));
  UVMM_CHECK(shape_of(parts).check_fits(saved));
  UVMM_TRY(const auto devices, parts.platform->stateful());
  UVMM_TRY(auto vcpus, read_vcpus(table, parts.vcpus->size()));
  UVMM_CHECK(table.check_known(titles_of(parts, devices)));
  ClockState clock;
  UVMM_CHECK(snapshot::restore(table, clock));
  // All of the guest's clocks by the same time: one that stayed behind would look broken to it.
  UVMM_TRY(const std::uint64_t missed, missed_ns(clock, policy));
  UVMM_TRY(const std::uint64_t ticks, tsc_ticks(parts.vcpus->vcpu(0), missed));
  for (snapshot::VcpuState& vcpu : vcpus) vcpu.advance_tsc(ticks);
  UVMM_CHECK(parts.vm.set_clock_ns(clock.ns + missed));
  for (std::size_t i = 0; i < vcpus.size(); ++i) UVMM_CHECK(vcpus[i].give(parts.vcpus->vcpu(i)));
  UVMM_CHECK(parts.interrupts->restore(table));
  for (devices::Stateful* const device : devices) UVMM_CHECK(snapshot::restore(table, *device));
  parts.platform->acpi_pm().advance(missed);
  return restore_generation_id(parts.platform->generation_id(), table);
}

}  // namespace vmm

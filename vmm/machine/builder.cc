// Configuration to machine: refuse first, then create.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <memory>
#include <utility>

#include "vmm/control/census.h"
#include "vmm/kvm/abi.h"
#include "vmm/log.h"
#include "vmm/machine/balloon_json.h"
#include "vmm/machine/blame_option.h"
#include "vmm/machine/boot_state.h"
#include "vmm/machine/cpuid.h"
#include "vmm/machine/devices_at_rest.h"
#include "vmm/machine/generation.h"
#include "vmm/machine/machine_image.h"
#include "vmm/machine/machine_metrics.h"
#include "vmm/machine/machine_state.h"
#include "vmm/machine/parts.h"
#include "vmm/machine/tiles_json.h"
#include "vmm/machine/virtio_devices.h"

namespace vmm {
namespace {

/// A back end maps all of RAM. What is one object from the beginning need not move, and is one place.
bool is_for_others(const Machine::Parts& parts) {
  return !parts.config.vhost_user.empty();
}

/// Above RAM, and above what is below 4 GiB besides.
uvm::Result<std::vector<virtio::pmem::Image>> open_images(const MachineConfig& config,
                                                          const guest::MemoryLayout& layout,
                                                          std::uint32_t address_bits) {
  constexpr std::uint32_t kMostBits = 48;  // that stage 2 has
  const uvm::Gpa first = std::max(layout.ram.back().end(), layout::kMmioHoleEnd);
  auto images =
      virtio::pmem::open_images(config.pmem, first, std::uint64_t{1} << std::min(address_bits, kMostBits));
  if (!images) return blame_option(images.error());
  return images;
}

uvm::Status create_memory(Machine::Parts& parts, const guest::MemoryLayout& layout,
                          const snapshot::MemoryImage* image) {
  MemoryBacking backing = parts.config.backing;
  if (is_for_others(parts) && backing == MemoryBacking::Auto) backing = MemoryBacking::Shared;
  UVMM_TRY(parts.memory, GuestMemory::create({parts.config.name, layout.ram, backing, parts.config.huge_pages,
                                              parts.config.overcommit, image, parts.images}));
  return uvm::ok();
}

uvm::Status load_memory(Machine::Parts& parts, const BootPlan& plan) {
  const bool copied = parts.memory->limit() != 0 || is_for_others(parts);
  const FilePages file_pages = copied ? FilePages::Copied : FilePages::Mapped;
  UVMM_CHECK(load(parts.memory->space(), plan.tables, plan.sources(), file_pages));
  return load(parts.memory->space(), plan.load.segments, plan.sources(), file_pages);
}

/// Every range of the bus in the memory map, in whole pages; what shares a page with the one before is shown
/// with that.
uvm::Status show_devices(Machine::Parts& parts) {
  uvm::Gpa shown(0);
  for (const Bus::Entry& entry : parts.bus.entries(BusSpace::Mmio)) {
    const uvm::Gpa begin = std::max(shown, uvm::Gpa(entry.begin).page_down());
    const auto end = uvm::Gpa(entry.end - 1).page_down() + uvm::kPageSize;
    if (begin >= end) continue;
    UVMM_CHECK(parts.memory->map_device(entry.name, *uvm::GpaRange::from_bounds(begin, end)));
    shown = end;
  }
  return uvm::ok();
}

uvm::Status build_devices(Machine::Parts& parts, const guest::MemoryLayout& layout) {
  if (parts.config.console != ConsoleMode::None) {
    UVMM_TRY(parts.console, Console::create(parts.io));
  }
  devices::RtcMemory memory;
  for (const auto& range : layout.ram) {
    (range.begin().value() < 4 * layout::kGiB ? memory.below_4g : memory.above_4g) += range.size();
  }
  devices::ByteSink& sink = parts.config.console == ConsoleMode::Stdio
                                ? static_cast<devices::ByteSink&>(*parts.console)
                                : parts.no_console;
  parts.platform = std::make_unique<Platform>(
      Platform::Parts{*parts.interrupts, parts.power, sink, memory, parts.config.virtio_transport});
  UVMM_CHECK(parts.interrupts->connect(parts.bus));
  UVMM_CHECK(parts.platform->connect(parts.bus));
  parts.bus.set_observer([](const UnownedAccess& access) {
    log::event(log::Level::Debug, "access nobody answers",
               {{"space", access.space == BusSpace::Io ? "port" : "mmio"},
                {"write", access.access == BusAccess::Write},
                {"address", log::hex(access.address)},
                {"count", access.count}});
  });
  parts.bus.seal();
  return show_devices(parts);
}

uvm::Status build_host_devices(Machine::Parts& parts, const guest::MemoryLayout& layout) {
  if (parts.config.vfio.empty()) return uvm::ok();
  const HostDevices::Surroundings around{parts.vm,
                                         parts.memory->space(),
                                         layout.ram,
                                         parts.platform->pci(),
                                         parts.platform->pci_window(),
                                         parts.platform->pci_ports(),
                                         *parts.interrupts};
  auto devices = HostDevices::create(parts.config.vfio, around);
  if (!devices) return blame_option(devices.error());
  parts.host_devices = *std::move(devices);
  return uvm::ok();
}

using Cpuids = std::vector<std::vector<kvm_cpuid_entry2>>;

/// Of each vCPU. A guest that goes on keeps the processors it has seen.
uvm::Result<Cpuids> plan_cpuids(const Machine::Parts& parts, const std::vector<kvm_cpuid_entry2>& supported,
                                const MachineImage* image) {
  CpuidRequest cpuid;
  cpuid.vcpus = parts.config.vcpus;
  if (image != nullptr) return saved_cpuids(image->state, cpuid.vcpus);
  cpuid.tsc_deadline = parts.system.check_extension(KVM_CAP_TSC_DEADLINE_TIMER) > 0;
  Cpuids cpuids;
  for (cpuid.vcpu = 0; cpuid.vcpu < cpuid.vcpus; ++cpuid.vcpu) {
    cpuids.push_back(guest_cpuid(supported, cpuid));
  }
  return cpuids;
}

uvm::Status build_vcpus(Machine::Parts& parts, const Cpuids& cpuids) {
  auto vcpus = parts.shell->take_vcpus();
  for (std::size_t i = 0; i < vcpus.size(); ++i) UVMM_CHECK(vcpus[i]->set_cpuid(cpuids[i]));
  parts.exits = std::make_unique<Exits>(
      Exits::Parts{parts.bus, *parts.memory, parts.ending,
                   [&parts](std::uint8_t vector) { parts.interrupts->end_of_interrupt(vector); },
                   [&parts] { return parts.power.pending(); }});
  parts.inferior = std::make_unique<debug::Inferior>(parts.memory->space(), *parts.exits);
  parts.vcpus = std::make_unique<VcpuGroup>(std::move(vcpus), parts.inferior->run());
  parts.inferior->set_group(*parts.vcpus);
  parts.checkpoints = std::make_unique<Checkpoints>(parts);
  Checkpoints& checkpoints = *parts.checkpoints;
  parts.inferior->set_door({[&checkpoints](const std::string& name) { return checkpoints.take(name); },
                            [&checkpoints](const std::string& name) { return checkpoints.reset(name); },
                            {}});
  // A debugger that follows a copy has others too, and knows them by their processes.
  const bool followed = parts.config.gdb.inherited >= 0;
  const std::uint32_t pid = followed ? static_cast<std::uint32_t>(::getpid()) : gdb::ThreadId{}.pid;
  parts.target = std::make_unique<gdb::MachineTarget>(
      *parts.inferior, gdb::MachineTarget::Machine{[&parts] { parts.ending.end(ExitStatus::Ok); }, pid});
  parts.memory->set_vcpus(parts.vcpus.get());
  parts.trouble = std::make_unique<SwapTrouble>(parts.config.overcommit, *parts.vcpus, parts.ending);
  return uvm::ok();
}

uvm::Status build_debugger(Machine::Parts& parts) {
  const gdb::Options& options = parts.config.gdb;
  const bool followed = options.inherited >= 0;
  if (!options.listen && !followed) return uvm::ok();
  auto server = gdb::Server::create(options, *parts.target);
  if (!server) return blame_option(server.error());
  parts.debugger = *std::move(server);
  if (options.at_start == gdb::AtStart::Wait || followed) parts.inferior->run().start_paused();
  return uvm::ok();
}

uvm::Status build_pin_socket(Machine::Parts& parts) {
  const pins::Options& options = parts.config.pins;
  if (options.socket.empty()) return uvm::ok();
  pins::Environment environment{parts.memory->space(), options.limit, {}};
  if (options.irq) {
    devices::IrqLine& line = parts.interrupts->line(*options.irq);
    environment.ring = [&line] { line.pulse(); };
  }
  auto server = pins::serve(options.socket, std::move(environment));
  if (!server) return blame_option(server.error());
  parts.pins = *std::move(server);
  return uvm::ok();
}

std::string status_of(const MachineConfig& config) {
  return "\"pid\": " + std::to_string(::getpid()) + ", \"parent\": " + std::to_string(config.control.parent) +
         ", \"vcpus\": " + std::to_string(config.vcpus) + ", \"memory\": " + std::to_string(config.memory);
}

/// What a debugger that asks for a copy is told: where it is, and how to come to it.
std::string text_of(const control::Child& child) {
  return "process " + std::to_string(child.pid) + " is a copy of this machine; its control socket is " +
         child.socket + "\nto debug it: add-inferior -no-connection; inferior 2; target remote " +
         child.debugger + "\n";
}

/// Tells a debugger that follows copies of so many; the doors where they meet it.
uvm::Status tell_of_copies(Machine::Parts& parts, std::uint32_t copies, std::vector<Fd>& doors) {
  for (std::uint32_t i = 0; i < copies && i < pins::kMostFds; ++i) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
      return uvm::Error::from_errno(errno, "a socket between debugger and copy");
    }
    Fd here(ends[0]);
    Fd there(ends[1]);
    if (!parts.target->forked(std::move(here))) break;
    doors.push_back(std::move(there));
  }
  return uvm::ok();
}

/// The debugger stops where the copies begin: it is told before the pause ends.
uvm::Result<control::ForkedImage> fork(Machine::Parts& parts, std::uint32_t copies) {
  control::ForkedImage forked;
  UVMM_CHECK(check_disks(parts, DisksFor::Fork));
  std::vector<DiskFile> disks;
  UVMM_TRY(forked.image, take_image(parts, [&]() -> uvm::Status {
             UVMM_TRY(disks, copy_disks(parts));
             return tell_of_copies(parts, copies, forked.debuggers);
           }));
  forked.image.disks = std::move(disks);
  parts.events.tell("forked", "\"copies\": " + std::to_string(copies));
  return forked;
}

void build_children(Machine::Parts& parts) {
  parts.children = std::make_unique<control::Children>(parts.config.control, parts.config.name);
  debug::Inferior::Door door = parts.inferior->door();
  door.fork = [&children = *parts.children]() -> uvm::Result<std::string> {
    UVMM_TRY(const control::Child child, children.start());
    return text_of(child);
  };
  parts.inferior->set_door(std::move(door));
}

uvm::Result<ResidentPages> resident_pages(const Machine::Parts& parts) {
  return ResidentPages::of(parts.memory->pmap(), parts.memory->objects());
}

/// Metrics are read every 10 to 60 seconds.
constexpr std::chrono::seconds kCensusKept{30};

/// What this guest costs, for those who watch it.
void build_census(Machine::Parts& parts) {
  const auto take = [&parts] { return control::take_census(resident_pages(parts)); };
  const auto recent = std::make_shared<control::RecentCensus>(take, kCensusKept);
  parts.metrics.add([recent](MetricWriter& writer) { control::add_census_metrics(recent->get(), writer); });
  debug::Inferior::Door door = parts.inferior->door();
  door.shares = [take]() -> uvm::Result<std::string> {
    UVMM_TRY(const control::Census census, take());
    return control::format_census(census);
  };
  parts.inferior->set_door(std::move(door));
}

/// An image for whoever asks at a door.
uvm::Result<MachineImage> take_snapshot(Machine::Parts& parts) {
  UVMM_CHECK(check_disks(parts, DisksFor::Snapshot));
  UVMM_TRY(MachineImage image, take_image(parts));
  parts.events.tell("snapshot");
  return image;
}

/// All empty without a balloon.
struct BalloonDoors {
  std::function<uvm::Status(std::uint64_t)> resize;
  std::function<uvm::Status(std::uint32_t)> set_interval;
  std::function<std::string()> json;
};

BalloonDoors balloon_doors(const Machine::Parts& parts) {
  if (parts.balloon == nullptr) return {};
  virtio::balloon::Balloon& balloon = *parts.balloon;
  return {[&balloon](std::uint64_t bytes) { return balloon.set_target(bytes); },
          [&balloon](std::uint32_t seconds) { return balloon.set_interval(seconds); },
          [&balloon] { return balloon_json(balloon.statistics()); }};
}

std::string tiles_of(const Machine::Parts& parts) {
  return memory_tiles_json(parts.memory->space(), {parts.config.name, parts.pauses->paused(),
                                                   parts.inferior->overlay().planted_places()});
}

uvm::Status build_doors(Machine::Parts& parts) {
  const control::Options& options = parts.config.control;
  std::shared_ptr<const control::Family> family = options.family;
  if (!family) {
    UVMM_TRY(family, control::Family::create(options.max_children));
  }
  std::function<uvm::Result<control::Child>()> start_copy;
  if (parts.children) start_copy = [&children = *parts.children] { return children.start(); };
  parts.doors = std::make_unique<const control::Environment>(control::Environment{
      parts.config.name,
      *parts.checkpoints,
      std::move(family),
      [&parts] { return take_snapshot(parts); },
      [&parts](std::uint32_t copies) { return fork(parts, copies); },
      [&parts](const snapshot::MemoryObject& object) { return parts.memory->lend(object); },
      [&parts] { return parts.memory->let_go(); },
      [&parts] { return resident_pages(parts); },
      [&parts] { return status_of(parts.config); },
      [&parts] { return counters_json(parts); },
      std::move(start_copy),
      [&parts] { parts.platform->acpi_pm().press_power_button(); },
      [&parts](const std::string& id, const std::string& path) { return change_disk(parts, id, path); },
      balloon_doors(parts).resize,
      balloon_doors(parts).set_interval,
      balloon_doors(parts).json,
      [&parts] { return tiles_of(parts); },
      [&parts] { parts.ending.end(ExitStatus::Ok); },
      *parts.pauses,
      parts.memory->space(),
      parts.events,
      parts.metrics});
  return uvm::ok();
}

uvm::Status build_control(Machine::Parts& parts) {
  const control::Options& options = parts.config.control;
  const bool has_socket = !options.socket.empty();
  if (has_socket && options.starter) build_children(parts);
  parts.pauses = std::make_unique<PauseSwitch>(*parts.vcpus, parts.events);
  add_machine_metrics(parts);
  build_census(parts);
  UVMM_CHECK(build_doors(parts));
  if (has_socket) {
    auto server = control::Server::create(options.socket, *parts.doors);
    if (!server) return blame_option(server.error());
    parts.control = *std::move(server);
    if (parts.children) parts.children->keep_ready();
  }
  if (options.at_start == control::AtStart::Paused) parts.pauses->pause();
  return uvm::ok();
}

uvm::Status begin(Machine::Parts& parts, const BootPlan& plan) {
  UVMM_CHECK(set_boot_state(parts.vcpus->vcpu(0), plan.load.entry));
  if (plan.generation_id) parts.platform->generation_id().set_place(*plan.generation_id);
  return renew_generation(parts, devices::Tell::Nobody);
}

uvm::Status go_on(Machine::Parts& parts, const MachineImage& image) {
  const DevicesAtRest devices(parts);
  // KVM looks at a guest's clock pages while their MSRs are set, and sleeps where one is yet to be made.
  std::unique_ptr<FaultThread> faults;
  if (parts.memory->makes_pages_later()) {
    UVMM_TRY(faults,
             FaultThread::start(*parts.memory,
                                {[](uvm::Gpa, const uvm::Error&) { return Unresolved::EndMachine; }, [] {}}));
  }
  UVMM_CHECK(restore_state(parts, image.state, parts.config.clock));
  for (std::size_t i = 0; i < parts.vcpus->size(); ++i) parts.vcpus->vcpu(i).tell_stood_still();
  return renew_generation(parts, devices::Tell::Guest);
}

/// What was left unchecked of the image's memory is checked while the guest runs, which ends with it.
uvm::Status check_memory_behind(Machine::Parts& parts, const MachineImage* image) {
  if (image == nullptr || image->memory.unchecked.empty()) return uvm::ok();
  UVMM_TRY(parts.memory_check, MemoryCheck::start(image->memory.unchecked, [&parts](const uvm::Error& error) {
             parts.ending.end(ExitStatus::BadInput, error.text());
           }));
  return uvm::ok();
}

/// Pages of a kernel or initrd file are 4 KiB each, and a boot reads all of them: thousands of stage-2 faults
/// that one call per file saves. A host that cannot do it loses time only.
void pre_fault_files(Machine::Parts& parts) {
  for (const auto& entry : parts.memory->space().entries()) {
    if (entry.sharing == uvm::Sharing::Shared || entry.object.empty()) continue;
    if (!parts.vcpus->vcpu(0).pre_fault(entry.range)) return;
  }
}

}  // namespace

uvm::Result<std::unique_ptr<Machine::Parts>> build_machine(const MachineConfig& config,
                                                           const MachineImage* image,
                                                           std::unique_ptr<MachineShell> shell) {
  if (shell == nullptr || !shell->fits(config.irqchip, config.vcpus)) {
    UVMM_TRY(shell, MachineShell::open());
  }
  const auto& supported = shell->supported_cpuid();
  UVMM_TRY(const auto layout, plan_memory(config, physical_address_bits(supported)));
  const IrqChip irqchip = shell->chosen(config.irqchip);
  BootPlan plan;
  if (image == nullptr) {
    UVMM_TRY(plan, plan_boot(config, layout, irqchip));
  }

  UVMM_CHECK(shell->create_vm());
  auto parts = std::make_unique<Machine::Parts>(config, std::move(shell));
  UVMM_TRY(parts->images, open_images(config, layout, physical_address_bits(supported)));
  UVMM_CHECK(create_memory(*parts, layout, image != nullptr ? &image->memory : nullptr));
  UVMM_CHECK(load_memory(*parts, plan));
  UVMM_CHECK(parts->memory->attach(parts->vm));
  UVMM_CHECK(parts->shell->create_vcpus(irqchip, config.vcpus));
  parts->interrupts = parts->shell->take_interrupts();
  UVMM_CHECK(build_devices(*parts, layout));
  UVMM_CHECK(build_virtio(*parts, layout, image));
  UVMM_CHECK(build_host_devices(*parts, layout));
  UVMM_TRY(const Cpuids cpuids, plan_cpuids(*parts, supported, image));
  UVMM_CHECK(build_vcpus(*parts, cpuids));
  UVMM_CHECK(image != nullptr ? go_on(*parts, *image) : begin(*parts, plan));
  UVMM_CHECK(build_debugger(*parts));
  UVMM_CHECK(build_pin_socket(*parts));
  UVMM_CHECK(check_memory_behind(*parts, image));
  UVMM_CHECK(build_control(*parts));
  // A copy starts at once, and touches little of what it shares.
  if (image == nullptr) pre_fault_files(*parts);
  log::event(log::Level::Info, "machine built",
             {{"protocol", image != nullptr ? "goes on from an image" : plan.load.protocol},
              {"memory", config.memory},
              {"backing", parts->memory->backing_text()},
              {"vcpus", config.vcpus},
              {"irqchip", irqchip == IrqChip::Split ? "split" : "full"}});
  return parts;
}

}  // namespace vmm

// What a Machine is made of, in the order it is built; destruction runs backwards.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "vmm/control/children.h"
#include "vmm/control/server.h"
#include "vmm/debug/inferior.h"
#include "vmm/gdb/machine_target.h"
#include "vmm/gdb/server.h"
#include "vmm/machine/boot_plan.h"
#include "vmm/machine/bus.h"
#include "vmm/machine/checkpoints.h"
#include "vmm/machine/console.h"
#include "vmm/machine/disks.h"
#include "vmm/machine/doorbells.h"
#include "vmm/machine/ending.h"
#include "vmm/machine/exits.h"
#include "vmm/machine/fault_thread.h"
#include "vmm/machine/guest_memory.h"
#include "vmm/machine/host_devices.h"
#include "vmm/machine/interrupts.h"
#include "vmm/machine/machine.h"
#include "vmm/machine/machine_shell.h"
#include "vmm/machine/memory_check.h"
#include "vmm/machine/pause_switch.h"
#include "vmm/machine/platform.h"
#include "vmm/machine/power.h"
#include "vmm/machine/reclaim_thread.h"
#include "vmm/machine/swap_trouble.h"
#include "vmm/machine/timings.h"
#include "vmm/machine/vcpu_group.h"
#include "vmm/pins/server.h"
#include "vmm/virtio/balloon/balloon.h"
#include "vmm/virtio/console/console.h"
#include "vmm/virtio/pci_transport.h"

namespace vmm {

/// Where the output of a machine without a console goes.
class NullSink : public devices::ByteSink {
 public:
  std::size_t offer(std::span<const std::byte> bytes) override { return bytes.size(); }
};

struct Machine::Parts {
  /// The shell has a VM.
  Parts(MachineConfig machine_config, std::unique_ptr<MachineShell> made)
      : config(std::move(machine_config)), shell(std::move(made)) {}

  const MachineConfig config;
  Events events{config.name};
  MetricSources metrics;
  Timings timings;
  boost::asio::io_context io{1};
  Ending ending{[this] { io.stop(); }};  // thread-safe; everything else on io runs on the I/O thread
  Power power{ending, debug_exit_style(config)};

  const std::unique_ptr<MachineShell> shell;
  kvm::System& system = shell->system();
  kvm::Vm& vm = shell->vm();
  std::vector<std::uint32_t> saved_msrs;  // what KVM reads out of a vCPU; empty until somebody asked
  std::vector<virtio::pmem::Image> images;
  std::unique_ptr<GuestMemory> memory;
  std::unique_ptr<Interrupts> interrupts;

  NullSink no_console;
  std::unique_ptr<Console> console;  // null with --console=none
  std::unique_ptr<Platform> platform;
  KvmDoorbells doorbells{vm};
  std::vector<Disk> disks;
  std::vector<std::unique_ptr<virtio::Transport>> virtio;
  // Of these, or none.
  virtio::balloon::Balloon* balloon = nullptr;
  virtio::console::Console* hvc = nullptr;
  std::unique_ptr<HostDevices> host_devices;  // null without --vfio
  Bus bus;

  std::unique_ptr<Exits> exits;
  std::unique_ptr<debug::Inferior> inferior;  // stands between the vCPU threads and exits
  std::unique_ptr<VcpuGroup> vcpus;
  std::unique_ptr<PauseSwitch> pauses;
  std::unique_ptr<Checkpoints> checkpoints;
  std::unique_ptr<gdb::MachineTarget> target;
  std::unique_ptr<SwapTrouble> trouble;
  std::unique_ptr<FaultThread> faults;
  std::unique_ptr<ReclaimThread> reclaim;
  std::unique_ptr<MemoryCheck> memory_check;          // null: there is nothing to check
  std::unique_ptr<control::Children> children;        // null where none can be started
  std::unique_ptr<gdb::Server> debugger;              // null without --gdb
  std::unique_ptr<PacketServer> pins;                 // null without --pin-socket
  std::unique_ptr<const control::Environment> doors;  // for whoever drives the machine from outside
  std::function<void()> at_end;                       // lets those go who are not among these parts
  std::unique_ptr<control::Server> control;           // null without a control socket
};

/// Builds the parts of a machine, which boots (null) or goes on where an image says. Errors as
/// Machine::create and Machine::create_from give them.
[[nodiscard]] uvm::Result<std::unique_ptr<Machine::Parts>> build_machine(const MachineConfig& config,
                                                                         const MachineImage* image,
                                                                         std::unique_ptr<MachineShell> shell);

}  // namespace vmm

// What a machine is built from: the one value that the command line, a JSON file and (later) the REST body
// all end in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vmm/confine/options.h"
#include "vmm/control/options.h"
#include "vmm/gdb/options.h"
#include "vmm/pins/options.h"
#include "vmm/vfio/options.h"
#include "vmm/vhost_user/options.h"
#include "vmm/virtio/balloon/options.h"
#include "vmm/virtio/blk/options.h"
#include "vmm/virtio/net/options.h"
#include "vmm/virtio/pmem/options.h"
#include "vmm/virtio/vsock/options.h"

namespace vmm {

inline constexpr std::uint32_t kMaxVcpus = 16;

/// How guest RAM is held. Auto is a RAM object where the host gives it huge pages, else anonymous memory.
enum class MemoryBacking : std::uint8_t { Auto, Anonymous, Shared };

/// Whether guest RAM asks the host for pages of 2 MiB.
enum class HugePages : std::uint8_t { Auto, Never };

/// Which interrupt controllers KVM emulates: Split keeps PIC, IOAPIC and timer in this process, Full in the
/// kernel.
enum class IrqChip : std::uint8_t { Auto, Split, Full };

/// What a write of v to port 0xf4 makes of the exit status: QEMU's isa-debug-exit ends with (v << 1) | 1,
/// Plain with v. Auto is Plain for built-in guests, whose 0 is a pass, and Qemu for all others.
enum class DebugExitStatus : std::uint8_t { Auto, Qemu, Plain };

/// Stdio: the terminal is the first serial port. Virtio: it is hvc0, and what the serial port says is thrown
/// away.
enum class ConsoleMode : std::uint8_t { Stdio, None, Virtio };

/// What happens when the guest's memory cannot be moved to or from the swap file: it stands still until that
/// works again, or it ends.
enum class SwapError : std::uint8_t { Pause, Stop };

/// What the time since a machine was saved is to the guest that goes on from there: nothing, or time like
/// other time.
enum class ClockPolicy : std::uint8_t { Continue, Host };

/// When to print the memory map of the guest.
enum class ShowMap : std::uint8_t { OnSignal, AtExit };

/// How a guest finds its virtio devices: on the PCI bus, or by its kernel's command line, without interrupts
/// and registers of PCI.
enum class VirtioTransport : std::uint8_t { Pci, Mmio };

/// Whether the guest has a device that gives it random numbers.
enum class Entropy : std::uint8_t { None, Device };

struct BootSource {
  std::string kernel;           // path; empty with a built-in guest
  std::string format = "auto";  // auto, bzimage, elf64, pvh, multiboot, flat-real, flat-long
  std::string initrd;           // path or empty
  std::string cmdline;
  std::uint64_t load_address = 0;  // GPA for flat images; 0: the format's own default
  std::string builtin;             // name of a built-in guest; empty with a kernel
  std::string builtin_arguments;   // "passes=2 page=2m"
};

/// Memory that is more than the host shall give.
struct Overcommit {
  std::uint64_t limit = 0;        // bytes of guest RAM in memory at once; 0: no limit
  std::string swap = "/var/tmp";  // a directory, or a file of its own
  std::uint64_t swap_size = 0;    // bytes; 0: as much as the guest has RAM
  bool compress = false;          // with zstd
  SwapError on_error = SwapError::Pause;

  friend bool operator==(const Overcommit&, const Overcommit&) = default;
};

struct MachineConfig {
  std::string name = "uvmm";
  BootSource boot;
  std::uint32_t vcpus = 1;
  std::uint64_t memory = std::uint64_t{256} << 20;  // bytes
  MemoryBacking backing = MemoryBacking::Auto;
  HugePages huge_pages = HugePages::Auto;
  Overcommit overcommit;
  IrqChip irqchip = IrqChip::Auto;
  DebugExitStatus debug_exit = DebugExitStatus::Auto;
  ConsoleMode console = ConsoleMode::Stdio;
  ShowMap show_map = ShowMap::OnSignal;
  VirtioTransport virtio_transport = VirtioTransport::Pci;
  gdb::Options gdb;
  pins::Options pins;
  std::vector<vfio::DeviceOptions> vfio;        // devices of the host that the guest gets
  std::vector<vhost_user::Options> vhost_user;  // devices that other processes serve
  std::vector<virtio::blk::Options> drives;
  std::string root_drive;      // id of the disk that the kernel is told to take as its root; empty: of none
  std::string root_partition;  // PARTUUID of the root on it; empty: all of the disk
  std::vector<virtio::net::Options> networks;
  std::optional<virtio::vsock::Options> vsock;
  std::optional<virtio::balloon::Options> balloon;
  std::vector<virtio::pmem::Options> pmem;
  Entropy entropy = Entropy::None;
  control::Options control;
  confine::Options confinement;
  std::string api_socket;                     // of the API over HTTP; empty: none
  ClockPolicy clock = ClockPolicy::Continue;  // of a machine made from an image
  std::string restore;  // directory of a snapshot to go on from, instead of booting; empty: boot
  std::string log_level = "warning";
  std::string log_file;  // empty: stderr
};

/// Exit statuses of `uvmm run`. Odd ones belong to the guest (port 0xf4 ends with (v << 1) | 1), so ours are
/// even.
enum class ExitStatus : int {
  Ok = 0,           // power off, reset, or left from the console
  BadInput = 2,     // command line, configuration, kernel, initrd
  TripleFault = 4,  // the guest shut down without meaning to
  Internal = 6,     // KVM or uvmm failed
  NoHost = 8,       // no usable /dev/kvm
  Forbidden = 10,   // a thread did what it may not (vmm/confine/confine.h)
};

}  // namespace vmm

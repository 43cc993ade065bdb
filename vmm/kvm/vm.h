// One virtual machine: address space, interrupt routing and the vCPUs made in it.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/base/range.h"
#include "uvm/base/units.h"
#include "vmm/kvm/fd.h"
#include "vmm/kvm/system.h"

namespace vmm::kvm {

class Vcpu;

enum class Level { Low, High };
enum class Pit { No, Yes };
enum class BusSpace { Pio, Mmio };

/// A message-signalled interrupt as the device writes it.
struct Msi {
  std::uint64_t address;
  std::uint32_t data;
};
/// GSI -> pin of an in-kernel chip (KVM_IRQCHIP_PIC_MASTER, _PIC_SLAVE, _IOAPIC).
struct PinRoute {
  std::uint32_t gsi;
  std::uint32_t chip;
  std::uint32_t pin;
};
/// GSI -> message.
struct MsiRoute {
  std::uint32_t gsi;
  Msi msi;
};
/// The whole routing table of a VM.
struct Routing {
  std::vector<PinRoute> pins;
  std::vector<MsiRoute> messages;
};
/// kvmclock at one moment, in nanoseconds.
struct GuestClock {
  std::uint64_t guest_ns;
  std::optional<std::uint64_t>
      wall_ns;  // since 1970, at the same moment, where the host can tell both at once
};
/// A guest write to `address` that signals an eventfd instead of leaving to user space. `bytes` is 1, 2, 4,
/// 8, or 0 for any width (Mmio only); `match` restricts it to one value.
struct DoorbellSpec {
  BusSpace space;
  std::uint64_t address;
  std::uint32_t bytes;
  std::optional<std::uint64_t> match;
};

/// Order at build-up: create, first MemSlot, then an irqchip, then vCPUs. A slot made after the full irqchip
/// costs 5–7 ms instead of 0.3 (its bus registrations have started an RCU grace period to wait for), and
/// vCPUs made before it have no local APIC.
/// Thread: any; the kernel serialises what needs it.
class Vm {
 public:
  /// Creates the VM. On Intel without unrestricted guest KVM needs three pages for a TSS and one for an
  /// identity map inside the guest's space; they are put at `kVmxScratch`, where no RAM may be.
  static uvm::Result<Vm> create(const System& system);

  /// GPA and size (bytes) of the pages KVM may use for itself; between the local APIC's page and any ROM
  /// below 4 GiB.
  static constexpr std::uint64_t kVmxScratch = 0xfeff'c000;
  static constexpr std::uint64_t kVmxScratchBytes = 0x4000;
  static constexpr std::uint32_t kSplitRoutes = 24;

  [[nodiscard]] int check_extension(int capability) const;
  /// KVM_ENABLE_CAP on the VM. `name` is for the message.
  uvm::Status enable_cap(std::uint32_t capability, std::uint64_t argument, std::string_view name);

  /// Local APICs in the kernel, PIC, PIT and I/O APIC (if any) in user space. Must precede the first vCPU.
  uvm::Status create_split_irqchip(std::uint32_t routes = kSplitRoutes);
  /// Local APICs, two PICs and an I/O APIC in the kernel; with Pit::Yes also an i8254.
  uvm::Status create_full_irqchip(Pit pit);
  /// 32-bit x2APIC ids and no broadcast quirk (KVM_CAP_X2APIC_API), needed for APIC ids above 254.
  uvm::Status enable_x2apic_api();

  /// Replaces the whole table.
  uvm::Status set_routing(const Routing& routing);
  /// Delivers at once. True: a vCPU took it; false: the guest's APIC blocked it (that is not an error).
  uvm::Result<bool> signal_msi(const Msi& msi);
  uvm::Status irq_line(std::uint32_t gsi, Level level);
  /// From now on a write to `event` raises `gsi`; with `resample` (level-triggered) KVM signals that eventfd
  /// on the EOI. Both stay the caller's.
  uvm::Status attach_irqfd(const Fd& event, std::uint32_t gsi, const Fd* resample = nullptr);
  uvm::Status detach_irqfd(const Fd& event, std::uint32_t gsi);
  uvm::Status attach_doorbell(const DoorbellSpec& spec, const Fd& event);
  uvm::Status detach_doorbell(const DoorbellSpec& spec, const Fd& event);

  /// `id` is also the APIC id. The vCPU must be destroyed before the Vm.
  uvm::Result<std::unique_ptr<Vcpu>> create_vcpu(std::uint32_t id);

  /// One bit a page of the slot, set when written since the last call; reading clears and write-protects
  /// again. `bitmap` must hold (pages + 63) / 64 words.
  [[nodiscard]] uvm::Status dirty_log(std::uint32_t slot, std::span<std::uint64_t> bitmap) const;

  // What a copy of the machine takes along; vm_state.cc.

  /// The guest's kvmclock; it goes on from where it is set.
  [[nodiscard]] uvm::Result<GuestClock> clock() const;
  uvm::Status set_clock_ns(std::uint64_t ns);
  /// Chip KVM_IRQCHIP_PIC_MASTER, _PIC_SLAVE or _IOAPIC of a full irqchip.
  [[nodiscard]] uvm::Result<kvm_irqchip> irqchip(std::uint32_t chip) const;
  uvm::Status set_irqchip(const kvm_irqchip& chip);
  [[nodiscard]] uvm::Result<kvm_pit_state2> pit() const;
  uvm::Status set_pit(const kvm_pit_state2& pit);

  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  friend class MemSlot;
  Vm(Fd fd, std::size_t vcpu_mmap_size) : fd_(std::move(fd)), vcpu_mmap_size_(vcpu_mmap_size) {}
  uvm::Status reserve_vmx_scratch();
  uvm::Status doorbell(const DoorbellSpec& spec, const Fd& event, std::uint32_t extra_flags);

  Fd fd_;
  std::size_t vcpu_mmap_size_;
};

}  // namespace vmm::kvm

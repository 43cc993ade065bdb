// vfio: devices of the host that a guest has to itself, through Linux's VFIO.
//
// What the guest gets is the device: its registers in the guest's address space, its interrupts straight from
// the kernel to the guest's local APIC, its DMA into the guest's memory. What it does not get is the host:
// the IOMMU keeps the device's DMA to what we have mapped for it, and the kernel filters what may be written
// to configuration space.
//
// DMA IS A PIN. A device writes to physical pages, past every table of ours, and cannot be asked to fault.
// So all memory that the guest may address is pinned (dma_map.h) before the device can reach it: each private
// page is what it would be after the most its mapping can ever allow (WIREMAX), so that no write of a
// debugger's or of a guest's replaces it later; private pages of files have been settled in memory of our
// own; and the kernel takes a reference to the very pages it finds behind the window (ept/ept.h), which is
// why they have to be in their places before. I/O addresses are guest-physical addresses. The pin outlives
// the mapping: unmapped first, unpinned then. Space, window and debugger's door go on as always, and
// everybody sees the same bytes.
//
// WHO OWNS WHAT. A Container is one I/O space and what is in it, through iommufd (iommufd.h) where the host
// has that and through VFIO's type 1 interface (type1.h) elsewhere; a machine has one, whatever the number of
// its devices, so that memory is pinned and locked once. A Device is the open device: regions,
// interrupts, reset. A RegionMapping is a piece of a region in our address space. A DmaMap is pins and their
// I/O mappings. They end in the reverse order. When the process is killed, the kernel does the same: devices
// are reset, I/O mappings go, pages are released.
//
// LIMITS. All of the guest's RAM is resident and locked. Without CAP_IPC_LOCK it counts against
// RLIMIT_MEMLOCK; memlock.h says so when that is the cause. A machine with a memory limit cannot have such a
// device, because nothing of its memory could be moved to swap.
//
// HOT PATHS WITHOUT EXITS. Pages of a BAR that the kernel lets us map are memory slots of the guest's, moved
// when the guest moves the BAR; the page with the MSI-X table is not, because what a guest writes there is a
// message to its own APIC, and becomes the route of the vector's eventfd. The kernel's VFIO writes that
// eventfd, KVM reads it: no thread of ours has a part in an interrupt.
//
// THE HOST WANTS IT BACK. A driver that is unbound, or a device that is removed, waits until we let go. So an
// eventfd of VFIO's is watched, and the function is withdrawn: to the guest it has been pulled out. With the
// last device of a machine its memory is unpinned.
//
// Only files of this folder issue VFIO's ioctls. Threads: building up and tearing down is the I/O thread's;
// what vCPU threads may do is said at each class.
//
// AN INTERRUPT LINE (INTx) is shown to drivers that do without messages. It goes through this process
// (line_interrupt.h), because KVM hears of its end only from its own I/O APIC, which we do not use; each
// device has a pin of that for itself. Ports are exits too: each access is a read or write of the device's
// file.
//
// WHAT IT REFUSES. Devices without an IOMMU (noiommu groups); devices that are not PCI; expansion ROMs (the
// guest is shown none); a device that has a line and nothing else where KVM's I/O APIC is used (--irqchip
// full) or seven others have the pins; migration, dirty tracking, mediated devices' own regions.
//
// Read in this order: pci_address.h and options.h (words), host_device.h (what sysfs knows), io_space.h,
// container.h, device.h, region_mapping.h (the kernel's objects), dma_map.h (where pins come in), memlock.h;
// then what the guest sees: config_view.h, msi_capability.h, line_interrupt.h, guest_windows.h,
// bar_windows.h, pci_passthrough.h. The machine puts it together in vmm/machine/host_devices.h.
#pragma once

#include "vmm/vfio/container.h"        // IWYU pragma: export
#include "vmm/vfio/device.h"           // IWYU pragma: export
#include "vmm/vfio/dma_map.h"          // IWYU pragma: export
#include "vmm/vfio/host_device.h"      // IWYU pragma: export
#include "vmm/vfio/pci_passthrough.h"  // IWYU pragma: export
#include "vmm/vfio/region_mapping.h"   // IWYU pragma: export

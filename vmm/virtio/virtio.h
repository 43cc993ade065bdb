// Virtio 1.2 devices: how a driver in the guest finds one, agrees with it, and gives it queues.
//
// Read in this order: device.h (what a device is to its transport), common_config.h (the registers in which
// driver and device agree), pci_transport.h (the PCI function around them), mmio_transport.h (the same
// without PCI). Then, for devices of this process, split_queue.h (the rings), local_device.h (their life, and
// what a kind of device has to say), and a folder for each kind, of which rng/ is the shortest.
// vmm/vhost_user/vhost_user.h has devices whose queues another process serves.
//
// Who does what
//   The transport owns everything that a driver can write: PCI registers, MSI-X, status, features, queues. A
//   device says what it is, and hears two words: start (these features, these queues) and stop. Between them
//   the queues are the device's alone. What crosses over meanwhile are eventfds: a queue's kick is written by
//   the guest's notification (an ioeventfd, no exit) and its call raises the queue's interrupt (an irqfd, no
//   exit). So a device may as well be in another process.
//
//   A device of this process has a thread of its own, on which all of its work is done (LocalDevice). It
//   holds the rings pinned while it runs, and what a request names by a pin or an access for as long as it
//   works on it. A machine is copied with its vCPUs paused and these devices at rest (Resting): nothing is
//   under way, no pin is left, and what there is to save is a few numbers. Devices in other processes can't
//   be copied.
//
// Invariants
//   - A device is started with queues whose three rings lie in RAM and are aligned, with a size that is a
//   power
//     of two, and with features that it has offered, VIRTIO_F_VERSION_1 among them. Anything else that a
//     driver asks for is not started: it finds DEVICE_NEEDS_RESET in the status.
//   - start() and stop() are called in turn and return at once. A device that has to wait (for another
//   process,
//     for pages) does so on a thread of its own: the caller is a vCPU inside a write to a register. Status
//     reads as zero after a reset only when the device has said that it is stopped (virtio 1.2, 4.1.4.3.1),
//     so a driver that follows the rules never sees two owners of a ring.
//   - Nothing a driver writes is an error. A register that it may not write, or not now, keeps its value.
//
// Locks: one a function, rank Device, for all registers and MSI-X of it. The device is called with it held,
// and calls back (DeviceHost) without locks of its own, from any thread but from inside start() and stop().
//
// What it leaves out
//   Legacy and transitional devices; packed rings; INTx (msix_table.h tells why): a driver that does not turn
//   MSI-X on gets no interrupts; resetting one queue by itself; a queue that is enabled after DRIVER_OK.
#pragma once

#include "vmm/virtio/device.h"         // IWYU pragma: export
#include "vmm/virtio/local_device.h"   // IWYU pragma: export
#include "vmm/virtio/pci_transport.h"  // IWYU pragma: export

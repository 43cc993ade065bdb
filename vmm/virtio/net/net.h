// Network interfaces of the guest's, each with a link to the host: a tap interface, or passt.
//
// Read in this order: options.h (what can be asked for), link.h (what an interface needs of the host), tap.h
// and passt.h (the two links), passt_process.h, header.h (what stands before a frame), receive_buffers.h,
// interface.h (the device).
//
// How a frame goes
//   From the guest: its parts are handed to one writev() where they lie in guest memory, behind a copy of the
//   header, which alone is looked at and checked. To the guest: one readv() into the buffers that the driver
//   has given, as many of them as the last frame took; what of a longer frame does not fit goes through a
//   buffer of ours. passt's frames come many at a time and are copied once.
//
// Invariants
//   - No frame is dropped because somebody is slow. A link that takes no more leaves the frame in the ring; a
//     driver without buffers leaves frames in the link, and one that came already is held (one, at most).
//   - What is dropped is counted: frames with wrong headers (offsets behind the frame, offloads that were not
//     agreed on), those for which a link has no use, those longer than the driver will ever have room for.
//   - A turn ends after 64 frames: notifications, the other direction and orders get theirs.
//   - A buffer without room for a header breaks the ring, as virtio has it: the driver finds that the device
//     needs a reset.
//
// Copies of the machine
//   An interface of a fork must not be its parent's. So where passt was started by the machine, the fork
//   starts one of its own, with the same addresses; a tap interface, or a passt that was there before, stays
//   the parent's, and the fork finds its link down (the driver is told). A restored machine takes what its
//   state or its command line names; if that can't be had, it goes on with its link down and one line in the
//   log, which says how to give it another. Its address is the saved one: the driver has seen it. In both,
//   the guest's connections of before are gone.
//
// When it goes wrong
//   No link at the start of a new machine: the machine is not built. passt dies, or the interface is removed:
//   one line in the log, the link is down, the guest goes on. It is not tried again.
//
// Threads: one a device (local_device.h). Counters can be read from all.
//
// What it leaves out
//   The control queue (Linux needs none), more than one pair of queues, UDP in pieces (USO), vhost-net,
//   setting interfaces up: who makes a tap interface knows what it is to be a part of.
#pragma once

#include <memory>
#include <string>

#include "uvm/base/error.h"
#include "uvm/space.h"
#include "vmm/virtio/net/interface.h"  // IWYU pragma: export
#include "vmm/virtio/net/options.h"    // IWYU pragma: export
#include "vmm/virtio/origin.h"

namespace vmm::virtio::net {

/// `machine` is its name, from which an address is made if none is given. Errors: those of Tap::open(),
/// Passt::start() and Passt::connect(), of a new machine only.
[[nodiscard]] uvm::Result<std::unique_ptr<Interface>> create(const Options& options,
                                                             const std::string& machine, uvm::Space& space,
                                                             Origin origin);

}  // namespace vmm::virtio::net

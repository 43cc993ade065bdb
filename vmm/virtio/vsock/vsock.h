// Sockets between programs in the guest and programs on the host (AF_VSOCK there, unix sockets here), in
// Firecracker's style.
//
// Read in this order: options.h (what can be asked for), packet.h (what guest and device say to each other),
// credit.h (how much may be on its way), connection.h (one stream), host.h (all of them, and who is let in),
// socket_device.h (the queues).
//
// How bytes go
//   From the guest: one sendmsg() from guest memory to the program's socket; what that does not take is kept,
//   128 KiB a connection at most, which is what the guest is told that there is room for. To the guest: one
//   readv() from the socket into the driver's buffer, as much as the guest has said that it has room for.
//
// Invariants
//   - A guest that sends more than it may, answers what nobody asked or asks twice for one connection loses
//     that connection and nothing else; a packet for a connection that is not there is answered by a reset.
//     Packets with a wrong address, or longer than what carries them, are dropped and counted.
//   - What a guest has sent before it closed reaches the program, and what a program has sent before it
//     closed reaches the guest, however slow the other is. A side that ends only its sending goes on
//     receiving.
//   - Nobody can make us hold more than so much: 1023 connections, 64 programs that have not said where they
//     want to go, 256 answers that the guest does not take (it is not listened to until it does).
//
// Copies of the machine
//   A connection has one end only, so a copy has none: its driver finds the event for that, and resets them.
//   A fork does not listen, and its guest reaches nobody: the path is its parent's. A restored machine
//   listens where its state or its command line says; if that can't be had, it goes on without, and with one
//   line in the log.
//
// Threads: one (local_device.h). Counters can be read from all.
//
// What it leaves out
//   SOCK_SEQPACKET, and connections from guest to guest.
#pragma once

#include <memory>

#include "uvm/base/error.h"
#include "uvm/space.h"
#include "vmm/virtio/origin.h"
#include "vmm/virtio/vsock/options.h"        // IWYU pragma: export
#include "vmm/virtio/vsock/socket_device.h"  // IWYU pragma: export

namespace vmm::virtio::vsock {

/// Errors: those of listen_at(), of a new machine only.
[[nodiscard]] uvm::Result<std::unique_ptr<SocketDevice>> create(const Options& options, uvm::Space& space,
                                                                Origin origin);

}  // namespace vmm::virtio::vsock

// Virtio devices whose queues another process serves: a disk of qemu-storage-daemon's, a file system of
// virtiofsd's, or whatever speaks vhost-user. uvmm is the front end: it shows the device to the guest
// (vmm/virtio/virtio.h), and hands memory, queues and eventfds to the back end over a unix socket.
//
// Read in this order: options.h (what can be asked for), device.h (one device and its thread), back_end.h
// (the requests), memory_table.h (the guest's memory as the back end gets it), channel.h and protocol.h
// (messages), failed_queues.h (a device whose back end has gone).
//
// How a request of the guest goes
//   The driver writes descriptors into its ring and notifies; that write is an ioeventfd, which wakes the
//   back end. It reads the ring, reads or writes the buffers, writes the used ring, and writes its other
//   eventfd, which is the guest's interrupt. All of it in memory that it has mapped; uvmm sees nothing of it
//   and no vCPU leaves the guest for it.
//
// Memory is pins
//   The memory table is a set of pins with Placement::Shareable over all RAM, made when the driver starts the
//   device and dropped when the driver resets it, when the back end dies, and at the machine's end. RAM that
//   is pages of an object (what a machine with such devices has unless told otherwise) is given as it lies;
//   private pages move to the arena first. The owner has the device's name, so `info pins` shows who has
//   what, and a fork or a debugger's write that meets the pin follows its rules.
//
// Trust
//   The back end is trusted like a device without an IOMMU: it has all of RAM, for writing. The guest is not
//   trusted by anybody: uvmm checks where rings lie, and what the back end reads in them is its own to check.
//   The back end's words are checked: an answer of a wrong shape is the end of the connection.
//
// When it goes wrong
//   No back end at the start: the machine is not built. A back end that dies, lies, or does not answer within
//   ten seconds: one line in the log, its pins are released, and the driver finds DEVICE_NEEDS_RESET with an
//   interrupt of the configuration's vector. It is not tried again: a new back end may be another disk.
//   Linux' drivers do nothing about NEEDS_RESET, and have no time limit of their own. So when the back end
//   has hung up, and with that touches no ring any more, requests that come are answered with an I/O error
//   (failed_queues.h), and so are those that it had taken, once the rings tell which these are
//   (unfinished.h). One that lies or is silent may still write: its requests stay unanswered.
//
// Threads: one a device. It alone talks to the back end once the guest runs; vCPUs leave it orders and go on.
// Locks: a leaf for the orders. The transport is called back without it.
//
// What it leaves out
//   Requests from the back end (a channel of their own), live migration, inflight buffers, reconnecting,
//   writing the device's configuration, packed rings; a guest with a memory limit, whose pages nobody could
//   count.
#pragma once

#include "vmm/vhost_user/device.h"   // IWYU pragma: export
#include "vmm/vhost_user/options.h"  // IWYU pragma: export

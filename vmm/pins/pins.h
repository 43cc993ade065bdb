// The device's door for other processes: a unix socket on which a device process pins guest memory, maps it,
// and then works on it at memory speed, with no word to uvmm until it unpins.
//
// Read in this order: pin_client/protocol.h (what goes over the socket), session.h (what one client may do),
// server.h (who is let in, and when it ends), pin_client/client.h (the other side, for those who write a
// device). `uvmm-pin` (vmm/programs/uvmm_pin.cc) is the example.
//
// How bytes are shared
//   A pin asks uvm for frames that other processes can map (uvm::Placement::Shareable). RAM is pages of an
//   object already, and stays where it is. What is private to the guest (a page of its kernel that it wrote)
//   moves to the process's arena first. ept::extents_of() says where the frames lie, and their descriptors go
//   to the client, for reading only when the pin is for reading. The guest, the device and a debugger then
//   use one page, and nothing is ever copied between them.
//
// Invariants
//   - A client is an owner (uvm::PinOwner) under the name it gave and its process number: what it holds is in
//     `info pins`, in the memory map, and in every refusal that its pins cause.
//   - Its pins end with its connection, however that ends; a kill -9 of a device leaves nothing pinned.
//   - Descriptors outlive pins: a client that keeps its mapping after unpinning sees the file and no longer,
//     necessarily, the guest. That is its own loss; the guest's pages are then no more its business.
//   - A client that breaks the protocol is told why, and loses its connection. None of them can make uvmm
//   wait:
//     a reply that the client does not take closes the connection.
//
// Trust
//   The socket is its owner's alone (mode 0600), and whoever comes must have the same user or be root
//   (SO_PEERCRED). A client for writing can write to all of the memory it can name, and a descriptor shows
//   the whole file behind it, which is all of RAM: a device process is trusted like the device it stands for,
//   as with vhost-user.
//
// Lock order
//   The server's thread holds no lock of its own while it pins; uvm's are below (uvm/base/lock.h). Pinning
//   may sleep in a pager or wait for the fault thread, never for a vCPU.
//
// What it refuses
//   Ranges that are empty, unaligned, wrapped, or not memory; more than kMostRanges of them at once, more
//   than kMostPins pins, more bytes than the operator allows; private pages that something holds in place
//   already; a guest with a memory limit whose private pages would have to move.
#pragma once

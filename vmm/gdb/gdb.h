// The debugger's door: gdb's remote serial protocol, as stock gdb and lldb speak it.
//
// Read in this order: target.h (what is asked of a machine, and the contract of threads and states),
// session.h (one conversation), commands.h (the packets, one file a subject), register_map.h (what a debugger
// sees of a vCPU), server.h (sockets and the thread). packet_reader.h and packet_writer.h are the frames
// below, hex.h the digits.
//
// Life of a packet
//   Connection reads bytes → Session::receive → PacketReader cuts events out of them → the session answers
//   those that start, stop or leave the machine itself, find_command() knows the rest → the reply goes
//   through PacketWriter to Connection::send, which tries the socket at once. A machine's stop comes the
//   other way: Target → StopListener::stopped on any thread → posted to the server's → Session::stopped → T
//   packet.
//
// Invariants
//   1. Everything but StopListener::stopped() and forked() runs on the server's thread; so no lock is needed
//   here.
//   2. A stop reply answers `?` or a resume and nothing else.
//   3. A connection leaves nothing behind: whatever byte it ends at, Target::detach() removes its breakpoints
//      and the guest goes on, or does as --gdb-on-disconnect says. At the machine's own end it stays stopped.
//   4. Memory per connection is bounded: one packet, kMostDeferred packets, Connection's limits.
//   5. The list of registers never changes during a connection, whatever mode the processor is in.
//   6. A reply never claims what the target has not done: no OK for a breakpoint that can't fire, no bytes
//   for
//      memory that can't be read. Only what is unknown to uvmm is answered with an empty reply.
//
// Copies
//   `uvmm fork` asks the control socket for an image; with it come sockets, one a copy, whose other ends the
//   session here has (StopListener::forked, CopyDoor). A copy's server finds its end open
//   (Options::inherited) and holds the machine until its debugger lets it go, or closes.
//
// Dialects
//   gdb 12 and later, lldb 14 and later. Error texts go to who announced error-message+ (gdb 15), or has sent
//   QEnableErrorStrings (lldb); others get a number, and the text as console output where that is allowed.
//   `x` is gdb's form of it. QEMU's packets for stepping and physical memory have QEMU's names.
//
// What it refuses
//   More than one debugger at a time; non-stop mode; conditions evaluated here; read watchpoints (x86 has
//   none, debuggers then use access watchpoints); a memory map (gdb would apply one of physical memory to
//   linear addresses); RLE in replies (it is undone before escapes are). A first byte that is not the
//   protocol's, as from a browser, ends the connection.
#pragma once

// The hypervisor's half that talks to Linux: KVM, vCPU threads, devices, console, command line.
//
// Read in this order: machine/machine.h (a machine's life in one class), machine/parts.h (what it is made of,
// in the order it is built), machine/builder.cc (configuration to parts), machine/exits.h (what a vCPU's exit
// leads to), machine/guest_memory.h (where RAM meets uvm and ept). Then by need: kvm/kvm.h (descriptors, run
// page, slots), swap/swap.h (where pages go that a memory limit leaves no room for), devices/devices.h (a
// device's contract), debug/debug.h (what a debugger does to a machine), gdb/gdb.h (how it asks for it),
// pins/pins.h (guest memory for device processes), virtio/virtio.h and vhost_user/vhost_user.h (devices whose
// queues other processes serve), vfio/vfio.h (devices of the host that a guest has to itself),
// control/control.h (forks and snapshots for other processes), snapshot/snapshot.h and machine/checkpoints.h
// (a machine's state, saved and brought back), confine/confine.h (what each thread may do),
// config/config_json.h (JSON to configuration), api/api.h (HTTP), cli/cli.h (words to configuration),
// metrics.h and events.h (what a machine tells), log.h (the only logger).
//
// Who may know whom
//   cli → api → config → machine → {vhost_user → virtio → devices, vfio → devices, control, debug, gdb, kvm,
//   snapshot}; snapshot → {devices, kvm}; debug → kvm and the group of vCPUs; gdb → its Target, which is
//   debug's; everything → log, text. Devices never see KVM: they own the interfaces they need (an interrupt
//   line, a sink of bytes) and machine/ implements them. Only kvm/ issues KVM's ioctls. Guest bytes are
//   touched through uvm::Access, never through a raw pointer that outlives the call.
//
// Threads of one machine
//   - The I/O thread: the one that calls Machine::create and Machine::run, for console and signals (Asio).
//   - vCPU threads, one each (machine/vcpu_group.h): KVM_RUN, then the exit, handled on the spot.
//   - At most one for faults (machine/fault_thread.h): pages that only the VM system can bring. Whoever
//     touched such a page sleeps in the kernel until it is there, so this thread never waits for a vCPU and
//     never holds a lock while it waits for the next event.
//   - With --gdb, the debugger's (gdb/server.h): its sockets, and all that it asks of the machine.
//   - With --pin-socket, the device processes' (packet_server.h, pins/server.h).
//   - With --vhost-user-blk and -fs, one for each device (vhost_user/device.h).
//   - With a control socket, its own (packet_server.h, control/server.h), which pauses vCPUs and takes images
//     of the machine.
//   - With --api-socket, the API's (api/server.h), from before the machine is built until it has ended.
//   - With a memory limit, one that moves pages to swap before it is reached (machine/reclaim_thread.h).
//   - After a restore, one that checks the memory that is in use already (machine/memory_check.h).
//   Devices are entered from every vCPU thread and from the I/O thread, and guard their registers themselves.
//   The order of locks is uvm/base/lock.h's LockRank: machine, bus, device, then the VM system's own.
//
// Life of a machine
//   1. cli: words and file → MachineConfig, validated. Nothing has been opened yet.
//   2. Machine::create: /dev/kvm, then plan (layout, kernel, initrd: all that a user can get wrong), then
//      create (VM, memory, interrupt controllers, devices, vCPUs). Refused before anything of the VM exists.
//   3. Machine::run: signals and console, fault thread, vCPUs, debugger; then the loop, until the first
//      reason to end.
//   4. The end has one door, machine/ending.h: the first report wins, whoever brings it (a device, a vCPU, a
//      signal, the console, a debugger), and stops the loop.
//   5. Shutdown, each step needed by the next: a debugger is told and left, vCPU threads stop (while the
//      fault thread still answers: a vCPU may sleep on a page), fault and reclaim threads stop, the console
//      gets what the guest said last (bounded: nobody may read it), the terminal is restored, the parts are
//      destroyed in the reverse of their order.
//
// What it refuses
//   A configuration that can't work (before step 2 is done); a second run of one machine; ranges of devices
//   that overlap, each other or RAM; an access outside RAM and devices reads as ones and is dropped as a
//   write, and the guest goes on. A guest that triple-faults or runs what KVM can't emulate ends with a
//   status of its own (ExitStatus) and one line; it never ends uvmm by a signal.
#pragma once

// vmm/debug: what a debugger does to a machine, without the protocol it is told in (that is vmm/gdb).
//
// Read in this order: inferior.h (one machine as a debugger sees it), run_control.h (who may run, whose exit
// it is), trap.h (the byte that stands for a breakpoint, chosen by what the host really does), overlay.h
// (breakpoints planted over guest memory, hidden from every reader), step_guard.h (the trap flag of a step,
// kept out of the guest's sight), page_walk.h and translator.h (the guest's own page tables),
// hardware_breakpoints.h, registers.h, monitor.h (the verbs), core_dump.h, kaslr.h.
//
// Life of a stop
//   1. A vCPU thread returns from KVM_RUN. RunControl looks at the exit before the machine does: a trap byte
//      of ours, a debug register, a finished step; the rest goes on to machine/exits.h.
//   2. The first vCPU with something to tell begins a pause of the group; each finishes a half-done access
//   and
//      parks; the last one has the event delivered. What the others met meanwhile they meet again.
//   3. The debugger's thread works on parked vCPUs and on memory: ioctls from there are fine, the owner
//   sleeps.
//   4. resume(): the overlay is brought in line with what the debugger wants, guest debug is set on every
//   vCPU
//      that goes, the others are held, the pause ends.
//
// Invariants
//   - Registers and memory are touched only between 2 and 4. Between them no vCPU executes guest code.
//   - A trap byte is in guest memory only while a debugger is attached, and no reader through Inferior sees
//   it.
//   - What the host can't do is refused with text and never answered with success: kvm::DebugSupport is found
//     by trying, capability bits are not asked.
//   - An exception of the guest's own (its INT3, its single step) reaches its handler.
//
// Locks. RunControl's mutex (rank Machine) guards the phase and is held while a pause is begun; VcpuGroup's
// (Leaf) follows. The listener is called without any.
//
// It knows vmm/kvm, vmm/machine/vcpu_group.h and the plain types of vmm/gdb; machine/builder.cc puts it
// between the vCPU threads and their exits. While no debugger is attached an exit costs the test of one flag.
//
// Refused: breakpoints in user code where the trap byte comes back from CPL 0 only, steps there, watchpoints
// where debug registers do not leave the guest, device memory as memory (reading a device changes it).
#pragma once

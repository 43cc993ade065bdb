// vmm/kvm: everything uvmm says to /dev/kvm, and the only place that says it.
//
// Who owns what. System is the open /dev/kvm; it makes VMs and answers questions and may be closed
// afterwards. Vm is one guest-physical space with its interrupt controllers. Vcpu is one processor and the
// mapping of its run page. MemSlot is one range of the space; it holds no host memory, only the promise that
// whoever mapped it keeps it mapped. The kernel keeps a VM alive as long as any of its fds is open, but
// destroy in the opposite order of creation (vCPUs, slots, Vm) all the same: a slot removed after its Vm's
// number was reused would hit a stranger.
//
// Order of building: Vm, first slot, irqchip, vCPUs. A slot after the full irqchip takes 5–7 ms instead of
// 0.3, a vCPU before the irqchip has no local APIC. Destroying a VM with the full irqchip takes 14–23 ms
// (split: 0.5), so the split one is the default and a full one is best destroyed on a thread nobody waits
// for.
//
// EINTR. Every ioctl but KVM_RUN is repeated after a signal: the signal was meant for the run loop. KVM_RUN
// returns IntrExit, which asks the caller to look at its own flags. The way to stop a vCPU is therefore
// always: set your flag, then kick(). kick() first sets immediate_exit in the run page (catches a thread on
// its way into KVM_RUN), then signals the owner (catches one inside); either alone has a gap. run() takes the
// kick back when it reports it. A kick that arrives between two runs is not lost, one that arrives when
// nobody asks again costs one IntrExit.
//
// The run page. Spans of an Exit point into it, so they live until the next run(). Data for an IN or an MMIO
// read must be there before the next run(), and the access is only finished by that run(): state saved before
// it would replay half an instruction. complete_pending() finishes it without running the guest. With
// KVM_CAP_SYNC_REGS the general registers are in the page after each exit; set_regs() then only marks them
// dirty, and they count from the next run() on. regs() sees them at once.
//
// EFAULT. A guest access to host memory that is not accessible ends in MemoryFaultExit, without the address
// on every kernel tried, although KVM_CAP_MEMORY_FAULT_INFO says otherwise. Never let guest RAM come to that:
// faults are resolved below KVM_RUN, by the kernel or a blocking userfaultfd.
//
// PVM, KVM without virtualisation hardware. Real mode and CPL 0 run in KVM's instruction emulator (1.3 µs
// each, some instructions missing: InternalErrorExit, suberror 1), CPL 3 in long mode on the processor.
// Emulated code reports inaccessible host memory as *MMIO at a RAM address*, and a write to it is lost: an
// MmioExit inside a slot that is not read-only is a bug of ours, not a device access. KVM_SET_GUEST_DEBUG
// always succeeds; what works is in probe.h's DebugFacilities. Each vCPU ioctl costs 7–12 µs there, a call on
// the Vm 0.2.
//
// Refused: VM types other than the default one, guest_memfd, nested virtualisation state, Xen and Hyper-V
// interfaces.
//
// Read on: system.h, vm.h, memslot.h, vcpu.h, exit.h; abi.h for what the system header gets wrong; probe.h
// for what this host can do.
#pragma once

#include "vmm/kvm/exit.h"     // IWYU pragma: export
#include "vmm/kvm/memslot.h"  // IWYU pragma: export
#include "vmm/kvm/probe.h"    // IWYU pragma: export
#include "vmm/kvm/system.h"   // IWYU pragma: export
#include "vmm/kvm/vcpu.h"     // IWYU pragma: export
#include "vmm/kvm/vm.h"       // IWYU pragma: export

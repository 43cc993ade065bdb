// vmm/snapshot: a machine's state outside of the machine, for forks, checkpoints and snapshots.
//
// Read in this order: section_file.h (the format: named, versioned, checked sections), section_fields.h (how
// a device's fields get into one and out), vcpu_state.h (a virtual processor); then
// vmm/machine/machine_state.h, where a whole machine is saved and restored. On disk: snapshot_files.h (a
// directory, and how it is replaced), memory_file.h (sparse memory), memory_sums.h (its sums),
// snapshot_chain.h (snapshots that build on others).
//
// THE FORMAT is a list of sections, each with name, instance, version, length and checksum. A section is read
// by exactly the list of fields that wrote it (devices::Stateful::state), so there is one description of it.
// Forward: a section that a reader does not know is refused by its name, unless it is marked as one that may
// be left out. Back: a reader knows all older versions of its sections, and refuses younger ones. A field is
// never given another meaning; the version of its section goes up.
//
// ORDER. Saving goes from what raises interrupts to what takes them (devices, I/O APIC, vCPUs with their
// local APICs), restoring the other way round, so that an interrupt under way is taken along, or seen twice,
// and never lost. A level is seen twice without harm; an edge twice is an interrupt without a cause.
//
// TIME. The guest's TSC, kvmclock and PM timer go on from where they were (the time in between did not happen
// to it), or, when asked for, all three have gone on as if it had never stopped (ClockPolicy::Host); the
// real-time clock is the host's. A guest that stood still is told so through kvmclock, for its watchdogs. All
// of it is restored with the vCPUs stopped.
//
// WHAT MUST NOT BE TWICE. The guest's generation id (devices/generation_id.h) is in the state like everything
// else, and is the one thing that is made anew behind a restore: fresh bytes, and an interrupt that says so.
//
// NOBODY ELSE'S. State holds no host address, no descriptor, no byte that waits on the host's side of a
// console. Breakpoints of a debugger are not in it: whoever copies memory suspends them (debug/overlay.h).
//
// CHECKED. Every byte of a state is, and of memory that is packed, before a machine is made of it. Other
// memory is mapped from its file, whatever its size, so only the begin of it is read first; the rest is
// behind the machine that runs (vmm/machine/memory_check.h), which ends if it is not what was saved, and of
// which nothing is forked, checkpointed or saved until then.
//
// IT REFUSES, with one line that names the section: what is cut, damaged, doubled, missing or foreign; values
// that no guest could have brought about; MSRs and XSAVE areas that this host's KVM does not take; machines
// of another shape (vCPUs, memory, interrupt controllers). A machine whose restore was refused has not run
// and does not run.
#pragma once

#include "vmm/snapshot/section_file.h"
#include "vmm/snapshot/vcpu_state.h"

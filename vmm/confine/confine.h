// vmm/confine: what a machine's process may do, so that a guest which breaks out of it has gained little.
//
// Read in this order: options.h (what an operator says), thread_kind.h, calls.h and path_rules.h (who may do
// what, as data), confinement.h (how a thread enters), filter.h, landlock.h and last_words.h (how the kernel
// is told, and what is said when it stops somebody), jail.h (users, cgroups, network namespaces).
//
// FOUR FENCES, each by itself, all but the last without any rights:
//   no new privileges   always; whatever the process could start, setuid programs included, gets no more.
//   seccomp             for each kind of thread a list of system calls; any other ends the process with a
//                       line that names thread and call, and ExitStatus::Forbidden. No thread of a machine
//                       can start a program or a process, or make memory executable.
//   Landlock            for each thread, the paths of path_rules(). What was open before stays open.
//   the jail            a network namespace, a cgroup with limits, another user.
//
// WHEN. Set-up runs with the rights of whoever started uvmm: it opens what the operator has named, and no
// guest runs. A thread that is started enters first thing. The first thread, from which others would inherit,
// enters last, when all of them are there; the vCPUs stand still until it has (Machine::run).
//
// A NEW THREAD calls confine::enter(ThreadKind::…) as the first line of its function. Whoever serves a
// device's queues is a DeviceWorker: files and sockets that set-up has opened, io_uring, timers, eventfds,
// new unix sockets (and AF_UNIX only), random numbers. A new kind is an enumerator and a name in thread_kind,
// and a list in calls.cc; files that only it opens are added in path_rules.cc. A device opens its files,
// makes its tap and starts its helper process when it is created, not later. A thread that starts others, as
// a server that makes machines, enters when these are there.
//
// A COPY IS STARTED BY SOMEBODY ELSE: a filter survives execve(2), and a process that is to become a machine
// needs more than a running one. So `monitor fork` asks a process that was made before, has given up new
// privileges and no more, and can be asked for one command only (vmm/control/starter.h).
//
// FILES THAT ARE OPEN ALREADY may be opened again for reading: frozen memory goes to those who ask by such
// descriptors, and RAM with huge pages lies on a file system of its own, where no path of a rule leads.
// Whoever copies a machine may make files there.
//
// THE API'S THREAD serves before there is a machine, and enters when there is one. Its clients name the files
// of snapshots, metrics and disks, so Landlock does not hold for it; the list of calls does.
//
// IO_URING is no way around: Landlock holds for what a ring is asked for, and rings are there only for device
// workers and under a memory limit. But a ring's socket is not seen by seccomp; that is the price of the
// ring.
//
// WHAT IT DOES NOT DO. A chroot: Landlock hides the same files, needs no rights and no copies of devices. The
// process that starts copies and a passt that uvmm starts are not confined by these lists, because what they
// start would be. Under a sanitizer, whose runtime opens files and makes calls as it pleases, seccomp and
// Landlock are off unless asked for.
//
// LOCKS: none. What set_up() has made is read only, and each thread makes its own program from the lists.
//
// IT REFUSES: a kernel without seccomp filters (--seccomp off says that this is known); --uid without rights;
// cgroups that are not version 2, and limits whose controller is not switched on, with what to write where.
#pragma once

#include "vmm/confine/confinement.h"  // IWYU pragma: export
#include "vmm/confine/jail.h"         // IWYU pragma: export

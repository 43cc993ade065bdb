// ept: how a decision of the VM system becomes a host mapping that a vCPU obeys.
//
// Reading order: entry.h (one table entry) · table (the tree) · host/window, host/uffd (what the kernel
// offers) · host/ram_object, file_object, frozen_object, device_object (what can be mapped) · loader (the
// window made to obey) · deferred_pages (made when somebody comes near) · pmap (uvm::Pmap on top) · events ·
// pv_list.
//
// TABLES ARE THE TRUTH, THE WINDOW IS A CACHE. A space has tables in the format of Intel's extended page
// tables: GPA to frame, rights and fill, with 4K, 2M and 1G leaves. No processor walks them. What a vCPU
// obeys is the window, one range of host addresses under the hypervisor's memory slots: KVM's own tables
// follow the window by MMU notifiers, coherently, whatever is remapped under a fixed slot. So entering means
// mapping host memory into the window, and a whole map entry is one host mapping, never one a page.
//
//   Fill::Zero          anonymous memory           the kernel fills zeros        0.15-2 us a page
//   Fill::CopyOnWrite   private mapping of a file  the kernel breaks the copy    2 us a page, 5-10 in a guest
//   Fill::Present       anonymous memory, watched  an event for each absent page: somebody counts them
//   Fill::Exact         shared mapping of a file   nothing to do                 0.5 us a page, 6 us for 2M
//   promote, in place   MADV_POPULATE_WRITE        kernel, without a guest       2 us a page
//   promote, elsewhere  bytes into the stash, then the page replaced             10-20 us, two host mappings
//   an event            userfaultfd and a thread   uvm::Space::fault             40-90 us
//   remove              watch in place, then move or drop the pages              20-45 ms for 1 GiB of 4K
//   pages harvest             PAGEMAP_SCAN               for 1 GiB: 0.7 ms on huge pages, 9 ms on small ones
//   ..., pinned before        the window remembers       no call; each call that takes a page forgets it
//
// PRIVATE PAGES ARE DATA, NOT TRANSLATIONS (property P0). drop_all() forgets all tables, turns shared
// mappings into events, has stage 2 zapped, and loses nothing: what the host copied or zero-filled stays in
// the window and is not forgotten by anybody. A private page whose translation is removed moves, with its
// bytes, to the stash, a second reserved range of the same shape, and comes back when its place is entered.
//
// NO GAP. A page leaves the window in this order: its mapping is watched (userfaultfd registers in place),
// then its pages move away or are dropped. A vCPU sees the old page, or sleeps until the new one is entered;
// never an error, never a page that somebody has begun to copy (rule D6). Mapping a watched area over the old
// one instead loses the writes between mmap() and the registration. Coming back, a page is filled by one
// atomic call or moved in by one. Reading: move_pages_to() in host/window.cc, hide_private() in loader.cc.
//
// WHERE THE HOST CANNOT WATCH (no userfaultfd; private mappings of files that are not tmpfs, such as a kernel
// image on a disk) a removed page is PROT_NONE and an access is an error: EFAULT from KVM_RUN, without an
// address. Running the vCPU again is right when the page is entered in the meantime. The same holds for the
// microseconds in which a hole or a read-only mapping replaces a mapping of another kind. Read-only mappings
// of zero-fill memory and of disk files are PROT_READ: put a read-only memory slot before those, then a
// guest's write is an exit with its address.
//
// WHAT OTHERS CAN TAKE. Pages of our own objects stay while the objects live: nobody else can change their
// size. A file's do not: who may write it may cut it, and Linux then takes the lost pages out of every
// mapping, private copies included. So every touch of guest memory by this process is a guarded copy
// (host/guarded_copy.h): a signal becomes PagerIo with file and offset. A vCPU's touch is EFAULT without an
// address; uvm::Space::drop_lost() turns what was lost into events, which have one. And no pin of a private
// mapping rests on such a file: settle() moves private pages into anonymous memory, where they stay, before
// the pin is handed out. For the microseconds of the copy a write is an error (EFAULT), a read never is: KVM
// walks the guest's page tables through the window, and what it cannot read there it makes a fault of the
// guest's. What it cannot write it may take for one too (the accessed bit of a table); so files that only
// uvmm makes and nobody cuts, its snapshots, are Tenure::Kept and never settle. A device's range has no
// pages, no window and no memory slot: an access by a vCPU is an exit to the bus.
//
// LOCKS. Pmap (tables, codec, loader with window and stash) > PvList. No lock is held while another space's
// page is read, nor during StageTwo::zap(), which waits for vCPUs that may sleep on an event. The userfaultfd
// and EventSource::next() need no lock.
//
// HOST MEMORY for tables, reverse maps and lists of mappings is a few bytes a run. What makes translations or
// pages says NoMemory without it, and leaves old or no translations. What takes them away cannot fail: it
// cuts tables and lists at two places, and memory for that is set aside while there is some (Table, RunMap).
// When that is used up it takes away everything, which needs none and is right at any moment (P0); a run for
// whose private pages no place can be noted any more becomes an error to touch, until it is entered again.
//
// WHAT IT REFUSES: GPAs from 2^48 on (four levels); frames past the first TiB of a store and more than 2047
// stores at once (40 bits of frame in an entry); more host mappings than WindowOptions::max_runs (NoMemory,
// the budget is named; a process has 65530); a private frame at any place but its own; writing what was
// opened or frozen for reading; pins of devices.
#pragma once

#include "ept/pmap.h"  // IWYU pragma: export

// uvm: the virtual-memory system that a guest's physical memory is.
//
// A guest's RAM is an address space like a process's: a Space maps ranges of guest-physical addresses to
// Objects (a file, a RAM object), privately or shared, and resolves faults. The design is NetBSD's UVM, two
// layers and no chains: an object at the bottom, over it an amap of private pages.
//
//                      the page is private already          it is not
//                   +------------------------------+------------------------------+
//   use it as it is | 1A  ours alone, or only read | 2A  the object's, only read,  |
//                   |                              |     or written where shared   |
//                   +------------------------------+------------------------------+
//   copy it first   | 1B  written, others hold it  | 2B  written privately; or     |
//                   |     too                      |     there is no object: zeros |
//                   +------------------------------+------------------------------+
//
// Words. A FRAME is a page's bytes, by name and wherever they are. A TRANSLATION lets vCPUs reach a frame at
// an address; the PMAP holds them. To PROMOTE is to make a private page, copied or of zeros. A private page
// usually stays IN PLACE, usable at one address of one space; one that must be usable elsewhere, or went to
// swap, is an ANON, and an AMAP says which anon is at which page of a mapping (ENTRY). A fork copies neither:
// both sides keep the amap and NEEDS_COPY, a promise to take a copy of it before the first write. A SHARE
// GROUP is the opposite, mappings that want to see each other's writes. To WIRE a page is to prepare it so
// that nothing has to move it; a PIN is the record of wired pages by somebody (a device) who goes on using
// them. To CLIP is to cut an entry in two where an operation begins or ends.
//
// The host helps: a private mapping is entered whole, the host fills zeros and breaks copy-on-write while the
// guest runs, and uvm asks (harvest) which pages became private only when it has to know.
//
// The WIREMAX story. On 31 December 2001 NetBSD got a new kind of wiring fault. A process had locked its
// read-only text in memory; a debugger then wrote to the same text of another process. The write copied the
// page, and to show the copy to the one, the old page was taken out of everybody's translations, the locked
// one included; unlocking found no translation and the kernel panicked. The cure: a wiring fault prepares the
// page for the most the mapping could ever allow (max_protection), so that a locked private page is a copy of
// its own before anybody else's write can replace it. It still maps with today's rights: text stays text.
// FaultKind::WireMax is that rule. What the commit left open (shared mappings, amaps that do not know their
// maps, translations that may not be lost) is closed by the next list.
//
// Rules kept here, by the numbers the tests use:
//   D1   a pin is a record of the very frames it holds; unpinning reads the record and never the pmap.
//   D2   the pmap is a cache: drop_translations() at any moment loses nothing (P0).
//   D3   wiring prepares for max_protection; an object's page is never taken from its other users.
//   D4   objects and amaps know their mappings; "who maps this page" is arithmetic, and precise.
//   D5   fork takes the right to write from all who share, and flushes them, before the child is handed out.
//   D6   copying: translation away, flushed, copied, recorded, entered; never old bytes after new ones.
//   D7   pinning is all or nothing: a journal of what was wired, undone backwards.
//   D8   a pin is a reference: unmapping is refused (Pinned), a truncated page stays until the pin ends, and
//        a fork, of this space or of one that shares the memory, copies what is pinned instead of sharing it.
//   D9   one cause, one ErrorKind; the message names the space, the range and the reason.
//   D10  reading changes nothing: no clipping, no amap, no needs_copy (but what is in swap comes into
//        memory).
//   D11  what NetBSD does well stays: amaps are copied late, the map's version is checked after every sleep,
//        pages are unmapped before references to them are dropped, a promotion is kept when a later step
//        fails.
// Not every object can keep its pages (Tenure, pager.h): a file's can be cut off by others. A pin copies what
// it finds of such an object in a private mapping, and drop_lost() makes faults of what went. A device has
// none, and refuses. A wiring fault alone only prepares a page; a Pin makes one for each page and holds what
// it found.
//
// The debugger's door: an Access with AccessRights::Maximum is held against what a mapping could ever allow.
// It uses the frame, not a translation: a Peek leaves no trace; a Poke makes the page private first, gives
// the guest no right, is refused where others would see it (a shared mapping of an object) unless that is
// meant, and goes in place where a pin holds the page. Space::reshare() takes a private page back that is
// what it was copied from. Space::extract() shows a range in another space, for writing: both are one share
// group.
//
// A guest gives pages back (a balloon) with Space::discard(): private ones are freed, an object that nobody
// else maps gets a hole, and what others see, or a pin holds, stays.
//
// Who copies a guest's memory while it runs has to know what was written behind him. The guest's own writes
// are the host's to tell; those of debuggers, devices and balloons the space notes itself (write_log.h).
//
// Wiring the space as a whole (mlockall) is a list of pins, and more with every map(): what failed in the
// middle undoes its own pins and nobody else's. NetBSD's test for that has been inverted for 25 years.
//
// Locks, outermost first (base/lock.h checks the order at run time): map, amap, object, pmap; the maps of two
// spaces only as an ExclusivePair. A fault holds the map shared. Pins and open accesses are recorded under
// the map lock and kept under a leaf lock, so that whoever is about to move pages finds them. Pagers, swap
// and Pmap::update() are called without any of them.
//
// A space can have a memory limit (reclaim.h). Then the host is left nothing: every private page is counted
// before it exists, pages that are not missed while hidden go to a swap area in clusters, and faults bring
// them back. Nothing else changes, and a space without limit pays nothing for it.
//
// What it costs in host memory: an entry a few hundred bytes, a private page in place nothing, an anon the 8
// bytes of its slot (and 4 more while amaps that have gone apart hold it), whatever the size of the space.
//
// Memory of the host's that runs out is an error like others (NoMemory) and leaves everything as it was: what
// an operation needs is allocated before it changes anything, std::bad_alloc ends at the public functions,
// and what ends something (an unpin, a close, a destructor) needs no memory. Listings, and the makers of
// Objects and PinOwners, throw.
//
// It refuses: rights without read; writable shared mappings of what is read-only; changes under an open
// Access (Busy); unmapping what is pinned, and forks that a pin's policy forbids (Pinned); ranges that are
// empty, not whole pages, or outside the space. It makes no system call, starts no thread, writes no log,
// and never waits for anything but locks, pagers and swap.
//
// Read in this order: protection.h, frame.h, pager.h and pmap.h (the contracts), map_request.h and space.h
// (the operations), entry.h, map.h, amap.h, anon.h, object.h (the structures), fault_plan.h (the table),
// fault.h (the driver), promote.h, space_fork.h, access.h, discard.h, pin_table.h, wire.h, pin.h; then
// tile.h (a picture of a space), write_log.h, reclaim.h, swap.h, page_queue.h, page_out.h, page_in.h.
#pragma once

#include "uvm/access.h"
#include "uvm/object.h"
#include "uvm/pin.h"
#include "uvm/space.h"

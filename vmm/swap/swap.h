// Swap: where a guest's pages are that do not fit under its memory limit.
//
// uvm decides which pages go and when they come back; here they become bytes on a disk. The
// whole contract is uvm/swap.h: write pages, get slots, read slots, free slots.
//
//   SwapFile      uvm::Swap: a sum for each page, over one of the areas
//     SwapArea      slots to places: plain (a slot is a place) or packed (zstd, sixteen pages together)
//       SlotMap       which slots or blocks are taken: next fit, so that what goes out together lies together
//     SwapDisk      the file: opened, locked, moved to and from past the page cache
//       FileIo        io_uring through Asio, or pread and pwrite
//
// WHAT COMES BACK IS WHAT WENT OUT. Every page carries 32 bits of XXH3, seeded with its slot, in memory. A
// file that somebody wrote into, shortened or swapped for another, and a disk that answers with the wrong
// block, are PagerIo with file and offset; a guest never computes with such bytes.
//
// PAST THE PAGE CACHE. Pages leave memory because there is too little of it, and a copy in the host's page
// cache would keep them there. So O_DIRECT where the file system has it (SwapDisk::how() tells), and no
// readahead: uvm asks for clusters itself.
//
// ONE RING A CALLER. uvm calls from whatever thread needs a page now, so a transfer is made on a ring that
// the caller takes for itself and runs itself: no thread stands between the one that waits and the disk.
// Transfers of more than a piece (uring_file_io.cc) have their pieces under way together. Where a process may
// have no ring (most containers) pread and pwrite do the same, and the log says so once.
//
// THE FILE is a file without a name in a directory, which nobody else can open and which is gone with the
// process however that ends; or one with a name. A named file is locked, and an existing one is taken only
// when it is empty or begins with our header: `--swap disk.img` must not cost somebody a disk. It takes room
// on the disk as pages come, up to --swap-size; a disk that fills up earlier is an error of that one write,
// and uvm keeps the page.
//
// IT REFUSES more than --swap-size (NoMemory, the option is named), directories and devices as files, files
// that another machine has. It does not encrypt: the file has mode 0600, and a disk that leaves the house is
// the administrator's affair.
//
// LOCKS. Leaf locks around the maps of slots; none while bytes move. Everything is called from several
// threads.
#pragma once

#include "vmm/swap/swap_file.h"  // IWYU pragma: export

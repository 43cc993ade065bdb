// vmm/control: a running machine's socket, for `uvmm fork`, `snapshot`, `checkpoint`, `reset` and their like.
//
// Read in this order: session.h (what can be asked, and what is answered), server.h (who may ask), client.h
// (the other side), family.h (how many forks there may be), run_directory.h (where the sockets are).
//
// A unix socket that keeps packets whole (SOCK_SEQPACKET), mode 0600, for root and the machine's own user. A
// request is one JSON object a packet, {"verb": "…", …}, and so is its answer: {"ok": true, …} or {"ok":
// false, "error": "one line"}. One request at a time on a connection; connections are served side by side by
// one thread, one request after the other.
//
// A FORK IS A QUESTION: the machine is frozen for an instant, and its image goes to whoever asked, as
// descriptors of objects that never change (SCM_RIGHTS) and a description. What becomes of it is the asker's
// business and harms nobody here: `uvmm fork` maps it and runs it as a machine of its own, `uvmm snapshot`
// writes it into files. So this process writes no files and keeps nothing for those who asked. The one
// process it starts is `uvmm fork` itself, for a debugger that says `monitor fork` (children.h), by way of
// one that was there before it was confined (starter.h).
//
// A FORK HAS A PLACE: before `uvmm fork` asks for the image it takes a place in the machine's family, which
// is the first machine and every copy of a copy that runs; one that has no place left is refused, and nothing
// is paused for it. See family.h.
//
// WHAT A GUEST COSTS: each tells which pages of which objects it has in memory, and whoever asks all of them
// knows what is shared with whom. See vmm/machine/memory_shares.h.
//
// It refuses, in one line: what is no JSON object, unknown verbs, wrong types; images of machines with a
// device that can't be taken along, or with pins whose owners forbid it.
#pragma once

#include "vmm/control/server.h"

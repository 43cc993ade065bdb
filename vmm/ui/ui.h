// vmm/ui: a guest's memory to look at, in a browser.
//
// Read in this order: page.h (the page: page.html, page.css and the scripts, put together), loopback.h (how a
// browser gets to it). What it draws is vmm/machine/tiles_json.h, which is uvm::Space::tiles() as JSON.
//
// THE PAGE is one file that loads nothing. It is the same in three places: GET /ui of the API, which a client
// of the unix socket gets; a file (`uvmm ctl SOCKET map --html FILE`), which has the tiles in it and asks
// nobody; and the loopback server (`uvmm ctl SOCKET ui`). Where it may ask, it asks for tiles once a second,
// or less often when that takes long, and stops and says so when nobody answers.
//
// WHAT IT SHOWS. A tile for each 2 MiB, a column of its pages by kind; pins as an outline, breakpoints as a
// dot. Of two guests it shows each, and the difference: "shared by both" is what lies over the same object
// and was written by neither, so that the host has it once, or nowhere. That two guests hold the same bytes
// by chance is not looked for. How many other guests use an object only a process may ask that is not
// confined: the command line does, and the page of the API itself shows such pages as the object's.
//
// HOW LARGE. Equal tiles are one run, of which there are at most 65536; a guest with more different ones
// comes in larger tiles (tile_runs.h). 1 TiB is 524288 tiles, which the page draws at 3 pixels each.
//
// WHO MAY SEE IT. A browser carries strangers' pages, and a port of the loopback address is open to every
// user of the host. So the loopback server has a secret in its paths, answers GET only and only for the page
// and its tiles (nothing of the API that changes a guest gets through it), and refuses a Host that is not its
// own (a name that was made to mean 127.0.0.1) and whatever another page asked for (Origin, Sec-Fetch-Site).
// It never listens at another address; ssh -L brings it elsewhere.
//
// WHAT GUESTS SAY (names, paths, owners of pins) gets into the page as text. Scripts and styles run that have
// the page's nonce (Content-Security-Policy), nothing else, and the page can talk to where it came from only.
//
// Threads and locks: none of its own.
#pragma once

#include "vmm/ui/loopback.h"
#include "vmm/ui/page.h"

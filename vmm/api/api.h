// vmm/api: a machine over HTTP, on a unix socket (`uvmm run --api-socket PATH`).
//
// Read in this order: message.h (a request and its answer), guest.h (the running machine as the API sees it),
// launcher.h (how one comes to run), controller.h (which request does what, and when it may), routes.h (the
// table of them); then server.h and connection.h (HTTP), machine_guest.h (the real machine).
//
// THE API IS FIRECRACKER'S, for what both have: its paths, bodies, status codes and texts, so that its
// clients drive uvmm unchanged. What uvmm adds has paths of its own (/vm/fork, /vm/checkpoint, /vm/reset,
// /memory/…, /ui, /debug, /events, GET /metrics) and keys of its own in Firecracker's bodies. openapi.yaml
// has all of it, and a test holds it against the table of routes.
//
// BODIES ARE CONFIGURATION. Before the guest runs, a request changes the one MachineConfig through the tables
// that read --config (vmm/config), so a key means the same in both and is refused with the same words. A
// request that is refused has changed nothing.
//
// ANSWERS: 204 without a body, 200 with JSON, 400 with {"fault_message": "one line"}. Nothing that a client
// sends ends the process; what may be asked only before the guest runs, or only then, is refused with 400.
//
// ONE THREAD serves all connections and handles one request after the other, whoever sends it; requests of
// one connection are answered in their order, also when they come all at once. A request that takes long (a
// snapshot) lets the others wait. The machine is built and run on the main thread (launcher.h), which hands
// the guest to this thread and takes it back before it stops the vCPUs.
//
// CONFINEMENT (vmm/confine). This thread serves before there is a machine, and enters its list of system
// calls when there is one (ThreadKind::Api). It may open files, since clients name where snapshots and
// metrics go, with the rights of the process's user; it starts nothing.
//
// BOUNDS: 51200 bytes of body, 8 KiB of header, 64 connections, 10 s for a request to come in once it has
// begun and for an answer to go out; then the connection ends. A reader of /events that falls 1000 lines
// behind is let go.
//
// IT REFUSES: users other than the process's own and root (SO_PEERCRED; the socket has mode 0600); paths and
// methods that are not in the table; unknown and doubled keys, wrong types; rate limiters, MMDS, CPU
// templates, diff snapshots, which uvmm does not have; snapshots of a guest that runs, as Firecracker does.
#pragma once

#include "vmm/api/controller.h"
#include "vmm/api/server.h"

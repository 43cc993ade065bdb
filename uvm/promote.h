// Promotion: how a page becomes private without a vCPU ever seeing old bytes after new ones (rule D6).
#pragma once

#include <cstdint>
#include <optional>

#include "uvm/base/error.h"
#include "uvm/frame.h"
#include "uvm/locked_amap.h"
#include "uvm/pmap.h"

namespace uvm {

/// Makes the private page of one slot and records it. The pmap takes the old translation away, waits until no
/// vCPU can use it, and copies (NetBSD uvm_fault.c:uvmfault_promote since 1.236); then the slot changes; the
/// caller enters the new page last. A page made in place is recorded by the pmap alone and the slot becomes
/// empty; a shareable one becomes an anon in the slot. Either way the page stays when a later step fails.
/// The map lock (shared) and the amap's lock are held. Errors: Pmap::promote's.
[[nodiscard]] Result<Frame> promote_slot(Pmap& pmap, LockedAmap& amap, std::uint64_t slot,
                                         const Promotion& promotion);

}  // namespace uvm

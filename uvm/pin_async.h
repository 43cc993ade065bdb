// Pins for callers that may not sleep: a device model on an event loop.
#pragma once

#include <functional>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/base/range.h"
#include "uvm/pin.h"
#include "uvm/pin_request.h"
#include "uvm/space.h"

namespace uvm {

/// Runs a function once, later, on a thread that may sleep: a thread pool's post().
using RunLater = std::function<void(std::function<void()>)>;
/// What became of the pin. Called exactly once, without locks.
using PinDone = std::function<void(Result<Pin>)>;

/// Pin::create() of a list that does not keep its caller waiting. What is there is pinned at once, and `done`
/// has been called when this returns; what has to be read in (from swap, by a pager that reads), or needs
/// room made for it under a memory limit, is left to `later`, from where `done` is called. Other locks are
/// waited for as by any fault: microseconds. The space lives until `done` was called. Errors: those of
/// Pin::create(), given to `done`; throws what `later` throws.
void pin_async(Space& space, std::vector<GpaRange> ranges, PinRequest request, const RunLater& later,
               PinDone done);

}  // namespace uvm

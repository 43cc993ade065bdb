#include "uvm/pin_async.h"

#include <utility>

namespace uvm {

void pin_async(Space& space, std::vector<GpaRange> ranges, PinRequest request, const RunLater& later,
               PinDone done) {
  request.patience = Patience::Refuse;
  auto pin = Pin::create(space, ranges, request);
  // Busy for another reason is as little worth keeping the caller for.
  if (pin || pin.error().kind() != ErrorKind::Busy) return done(std::move(pin));
  request.patience = Patience::Sleep;
  later([&space, ranges = std::move(ranges), request = std::move(request), done = std::move(done)] {
    done(Pin::create(space, ranges, request));
  });
}

}  // namespace uvm

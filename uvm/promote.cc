#include "uvm/promote.h"

#include <new>

namespace uvm {
namespace {

/// The frame goes back when there is no memory for its anon.
Anon* anon_for(Frame frame, Pmap& pmap) {
  try {
    return Anon::create(frame);
  } catch (const std::bad_alloc&) {
    pmap.release(frame);
    throw;
  }
}

}  // namespace

Result<Frame> promote_slot(Pmap& pmap, LockedAmap& amap, std::uint64_t slot, const Promotion& promotion) {
  const bool in_place = promotion.placement == Placement::InPlace;
  // First, so that a page that was made can be recorded.
  if (!in_place || amap.find(slot) != nullptr) amap.make_room(slot, pmap);
  UVMM_TRY(const Frame frame, pmap.promote(promotion));
  if (in_place) {
    amap.drop(slot, pmap);
  } else {
    amap.put(slot, anon_for(frame, pmap), pmap);
  }
  return frame;
}

}  // namespace uvm

#include "uvm/promote.h"

namespace uvm {

Result<Frame> promote_slot(Pmap& pmap, LockedAmap& amap, std::uint64_t slot, const Promotion& promotion) {
  const bool in_place = promotion.placement == Placement::InPlace;
  // First, so that a page that was made can be recorded.
  if (!in_place || amap.find(slot)) amap.make_room(slot, pmap);
  UVMM_TRY(const Frame frame, pmap.promote(promotion));
  if (in_place) {
    amap.drop(slot, pmap);
  } else {
    amap.put(slot, Anon(frame), pmap);
  }
  return frame;
}

}  // namespace uvm

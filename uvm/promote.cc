#include "uvm/promote.h"

namespace uvm {

Result<Frame> promote_slot(Pmap& pmap, LockedAmap& amap, std::uint64_t slot, const Promotion& promotion) {
  UVMM_TRY(const Frame frame, pmap.promote(promotion));
  if (promotion.placement == Placement::InPlace) {
    amap.drop(slot, pmap);
  } else {
    amap.put(slot, Anon::create(frame), pmap);
  }
  return frame;
}

}  // namespace uvm

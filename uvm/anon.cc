#include "uvm/anon.h"

#include "uvm/pmap.h"
#include "uvm/swap.h"

namespace uvm {

void Anon::release(Pmap& pmap) const {
  if (frame_.store->extra_holders().remove(frame_.index)) return;
  if (Swap* swap = frame_.store->as_swap()) {
    swap->free({frame_.index}, 1);
  } else {
    pmap.release(frame_);
  }
}

}  // namespace uvm

#include "uvm/anon.h"

#include "uvm/pmap.h"
#include "uvm/swap.h"

namespace uvm {

void Anon::release(Pmap& pmap) {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (Swap* swap = frame_.store->as_swap()) {
    swap->free({frame_.index}, 1);
  } else {
    pmap.release(frame_);
  }
  delete this;
}

}  // namespace uvm

#include "uvm/anon.h"

#include "uvm/pmap.h"

namespace uvm {

void Anon::release(Pmap& pmap) {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  pmap.release(frame_);
  delete this;
}

}  // namespace uvm

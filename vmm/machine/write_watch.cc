#include "vmm/machine/write_watch.h"

#include <utility>

namespace vmm {

uvm::Result<WriteWatch> WriteWatch::start(RamSlots& slots, uvm::Space& space, uvm::GpaRange ram) {
  UVMM_CHECK(slots.start_log());
  WriteWatch watch(slots, space, ram);
  UVMM_CHECK(space.start_write_log(ram));
  return watch;
}

WriteWatch::WriteWatch(WriteWatch&& other) noexcept
    : slots_(std::exchange(other.slots_, nullptr)), space_(other.space_), ram_(other.ram_) {}

WriteWatch::~WriteWatch() {
  if (slots_ == nullptr) return;
  space_.stop_write_log();
  slots_->stop_log();
}

uvm::Result<uvm::PageSet> WriteWatch::take() {
  uvm::PageSet written(ram_);
  UVMM_CHECK(slots_->take_log(written));
  space_.take_written(written);
  return written;
}

}  // namespace vmm

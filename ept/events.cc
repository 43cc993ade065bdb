#include "ept/events.h"

namespace ept {

std::optional<StageTwoEvent> EventSource::next() {
  for (;;) {
    if (begin_ == end_) {
      begin_ = 0;
      end_ = uffd_.read(buffer_);
      if (end_ == 0) return std::nullopt;
    }
    const host::UffdEvent event = buffer_[begin_++];
    const uvm::Gpa address = covered_.begin() + (event.address - window_base_);
    if (!covered_.contains(address)) continue;
    return StageTwoEvent{address, event.write ? uvm::AccessKind::Write : uvm::AccessKind::Read};
  }
}

}  // namespace ept

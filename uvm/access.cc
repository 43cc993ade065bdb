#include "uvm/access.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace uvm {
namespace {

/// Calls `step(part)` for the piece of every page that `range` touches.
template <class F>
Status each_page(GpaRange range, F&& step) {
  for (Gpa at = range.begin(); at < range.end();) {
    const GpaRange part = GpaRange::page_of(at).intersection(range);
    UVMM_CHECK(step(part));
    at = part.end();
  }
  return ok();
}

}  // namespace

Access::Access(Access&& other) noexcept
    : space_(std::exchange(other.space_, nullptr)),
      range_(other.range_),
      bytes_(std::exchange(other.bytes_, {})) {}

Access& Access::operator=(Access&& other) noexcept {
  if (this == &other) return *this;
  close();
  space_ = std::exchange(other.space_, nullptr);
  range_ = other.range_;
  bytes_ = std::exchange(other.bytes_, {});
  return *this;
}

Access::~Access() {
  close();
}

void Access::close() {
  if (space_ != nullptr) space_->open_.remove(range_);
  space_ = nullptr;
}

Result<Access> Access::open(Space& space, GpaRange range, AccessKind access) try {
  if (range.empty() || !space.limits_.contains(range)) {
    return space.refuse(ErrorKind::Invalid, "access", range, "empty, or outside the space");
  }
  {
    // From here on the entries stay as they are; what the faults below enter is not taken away by an unmap.
    const SharedLock lock(space.map_.lock());
    space.open_.add(range);
  }
  Access opened(space, range);
  UVMM_CHECK(each_page(range, [&](GpaRange part) { return space.fault(part.begin(), access); }));
  opened.bytes_ = space.pmap_.bytes(range);
  if (opened.bytes_.size() != range.size()) {
    return space.refuse(ErrorKind::Unsupported, "access", range, "the host cannot show it in one piece",
                        "copy it page by page");
  }
  return opened;
} catch (const std::bad_alloc&) {
  return space.out_of_memory("access", range);
}

Status Access::read(Space& space, Gpa from, std::span<std::byte> to) {
  if (to.empty()) return ok();
  const auto range = GpaRange::from_size(from, to.size());
  if (!range)
    return Error(ErrorKind::Invalid, "space " + space.name() + ": read at " + to_string(from) + ": " +
                                         hex(to.size()) + " bytes pass 2^64");
  return each_page(*range, [&](GpaRange part) -> Status {
    UVMM_TRY(const Access page, open(space, part, AccessKind::Read));
    std::memcpy(to.data() + (part.begin() - from), page.bytes().data(), part.size());
    return ok();
  });
}

Status Access::write(Space& space, Gpa to, std::span<const std::byte> from) {
  if (from.empty()) return ok();
  const auto range = GpaRange::from_size(to, from.size());
  if (!range)
    return Error(ErrorKind::Invalid, "space " + space.name() + ": write at " + to_string(to) + ": " +
                                         hex(from.size()) + " bytes pass 2^64");
  return each_page(*range, [&](GpaRange part) -> Status {
    UVMM_TRY(const Access page, open(space, part, AccessKind::Write));
    std::memcpy(page.bytes().data(), from.data() + (part.begin() - to), part.size());
    return ok();
  });
}

Status Access::fill(Space& space, GpaRange range, std::byte value) {
  return each_page(range, [&](GpaRange part) -> Status {
    UVMM_TRY(const Access page, open(space, part, AccessKind::Write));
    std::memset(page.bytes().data(), static_cast<int>(value), part.size());
    return ok();
  });
}

}  // namespace uvm

#include "uvm/access.h"

#include <algorithm>
#include <array>
#include <new>
#include <optional>
#include <utility>

namespace uvm {
namespace {

/// How often a translation may go between its fault and the copy.
constexpr int kMostTries = 64;

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

/// Calls `step(part, bytes of the part)` for the piece of every page; `at` may be any guest address.
template <class T, class F>
Copied copy_pages(const Space& space, Gpa at, std::span<T> bytes, const char* operation, F&& step) {
  Copied copied;
  const auto range = GpaRange::from_size(at, bytes.size());
  if (!range) {
    copied.status =
        Error(ErrorKind::Invalid, "space " + space.name() + ": " + operation + " at " + to_string(at) + ": " +
                                      hex(bytes.size()) + " bytes pass 2^64");
    return copied;
  }
  try {
    copied.status = each_page(*range, [&](GpaRange part) -> Status {
      UVMM_CHECK(step(part, bytes.subspan(copied.bytes, part.size())));
      copied.bytes += part.size();
      return ok();
    });
  } catch (const std::bad_alloc&) {
    copied.status = out_of_memory([&] {
      return Error(ErrorKind::NoMemory, "space " + space.name() + ": " + operation + " at " + to_string(at) +
                                            ": the host is out of memory");
    });
  }
  return copied;
}

}  // namespace

Access::Access(Access&& other) noexcept
    : space_(std::exchange(other.space_, nullptr)),
      range_(other.range_),
      access_(other.access_),
      bytes_(std::exchange(other.bytes_, {})) {}

Access& Access::operator=(Access&& other) noexcept {
  if (this == &other) return *this;
  close();
  space_ = std::exchange(other.space_, nullptr);
  range_ = other.range_;
  access_ = other.access_;
  bytes_ = std::exchange(other.bytes_, {});
  return *this;
}

Access::~Access() {
  close();
}

void Access::close() {
  if (space_ == nullptr) return;
  space_->open_.remove(range_);
  // Behind that lock, through which start_write_log() goes.
  if (access_ == AccessKind::Write) space_->written_->note(range_);
  space_ = nullptr;
}

Result<Access> Access::fix(Space& space, GpaRange range, AccessKind access) try {
  if (range.empty() || !space.limits_.contains(range)) {
    return space.refuse(ErrorKind::Invalid, "access", range, "empty, or outside the space");
  }
  const SharedLock lock(space.map_.lock());
  space.open_.add(range);
  return Access(space, range, access);
} catch (const std::bad_alloc&) {
  return space.out_of_memory("access", range);
}

Result<Access> Access::open(Space& space, GpaRange range, AccessKind access) {
  UVMM_TRY(Access opened, fix(space, range, access));
  // Every translation may go at any moment (P0), also between the fault and the look.
  for (int tries = 0; tries < kMostTries && opened.bytes_.size() != range.size(); ++tries) {
    UVMM_CHECK(each_page(range, [&](GpaRange part) { return space.fault(part.begin(), access); }));
    opened.bytes_ = space.pmap_.bytes(range);
  }
  if (opened.bytes_.size() != range.size()) {
    return space.refuse(ErrorKind::Unsupported, "access", range, "the host cannot show it in one piece",
                        "copy it page by page");
  }
  return opened;
}

template <class F>
Status Access::with_page(Space& space, GpaRange part, AccessKind access, F&& copy) {
  UVMM_TRY(const Access page, fix(space, part, access));
  Status status;
  for (int i = 0; i < kMostTries; ++i) {
    UVMM_CHECK(space.fault(part.begin(), access));
    status = copy();
    if (status) return ok();
    if (status.error().kind() != ErrorKind::Busy) break;
  }
  return std::move(status).error().with_context("space " + space.name() + ": " + to_string(access) + " at " +
                                                to_string(part.begin()));
}

Status Access::read_page(Space& space, GpaRange part, std::span<std::byte> to, AccessRights rights) {
  if (rights == AccessRights::Current) {
    return with_page(space, part, AccessKind::Read, [&] { return space.pmap_.copy_out(part, to); });
  }
  return space.visit(part.begin(), FaultKind::Peek, SharedWrites::Refuse, [&](std::optional<Frame> frame) {
    if (frame) return space.pmap_.read_frame(*frame, part.begin().offset_in_page(), to);
    std::fill(to.begin(), to.end(), std::byte{0});
    return ok();
  });
}

Status Access::write_page(Space& space, GpaRange part, std::span<const std::byte> from, AccessMode mode) {
  if (mode.rights == AccessRights::Current) {
    return with_page(space, part, AccessKind::Write, [&] { return space.pmap_.copy_in(part, from); });
  }
  return space.visit(part.begin(), FaultKind::Poke, mode.shared, [&](std::optional<Frame> frame) {
    auto written = space.pmap_.write_frame(*frame, part.begin().offset_in_page(), from);
    space.written_->note(part);
    return written;
  });
}

Copied Access::read_some(Space& space, Gpa from, std::span<std::byte> to, AccessMode mode) {
  return copy_pages(space, from, to, "read",
                    [&](GpaRange part, auto bytes) { return read_page(space, part, bytes, mode.rights); });
}

Copied Access::write_some(Space& space, Gpa to, std::span<const std::byte> from, AccessMode mode) {
  return copy_pages(space, to, from, "write",
                    [&](GpaRange part, auto bytes) { return write_page(space, part, bytes, mode); });
}

Status Access::fill(Space& space, GpaRange range, std::byte value) {
  std::array<std::byte, kPageSize> page;
  page.fill(value);
  return each_page(range, [&](GpaRange part) {
    return with_page(space, part, AccessKind::Write,
                     [&] { return space.pmap_.copy_in(part, std::span(page).first(part.size())); });
  });
}

}  // namespace uvm

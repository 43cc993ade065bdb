#include "vmm/virtio/guest_bytes.h"

#include <algorithm>
#include <string>
#include <utility>

#include "ept/host/guarded_copy.h"

namespace vmm::virtio {
namespace {

/// Calls `copy` with each stretch of `parts` behind byte `at`, and the number of bytes before it, until
/// `bytes` are done.
template <class F>
std::optional<std::size_t> for_stretches(std::span<const iovec> parts, std::size_t at, std::size_t bytes,
                                         F&& copy) {
  std::size_t done = 0;
  for (const iovec& part : parts) {
    if (done == bytes) break;
    if (at >= part.iov_len) {
      at -= part.iov_len;
      continue;
    }
    const std::size_t now = std::min(part.iov_len - at, bytes - done);
    const std::span stretch(static_cast<std::byte*>(part.iov_base) + at, now);
    if (copy(stretch, done) == ept::host::Touched::No) return std::nullopt;
    done += now;
    at = 0;
  }
  return done;
}

}  // namespace

uvm::Result<GuestBytes> GuestBytes::open(uvm::Space& space, std::span<const Segment> segments,
                                         uvm::AccessKind access, std::uint64_t skip, std::uint64_t limit) {
  GuestBytes bytes;
  bytes.open_.reserve(segments.size());
  bytes.parts_.reserve(segments.size());
  for (const Segment& segment : segments) {
    if (limit == 0) break;
    if (skip >= segment.bytes) {
      skip -= segment.bytes;
      continue;
    }
    const std::uint64_t now = std::min(segment.bytes - skip, limit);
    const auto range = uvm::GpaRange::from_size(uvm::Gpa(segment.gpa + skip), now);
    if (!range) return uvm::Error(uvm::ErrorKind::Invalid, "a buffer at the end of the address space");
    UVMM_CHECK(bytes.add(space, *range, access));
    limit -= now;
    skip = 0;
  }
  return bytes;
}

uvm::Status GuestBytes::add(uvm::Space& space, uvm::GpaRange range, uvm::AccessKind access) {
  if (parts_.size() == kMostParts) {
    return uvm::Error(uvm::ErrorKind::Invalid,
                      "a request of more than " + std::to_string(kMostParts) + " parts");
  }
  auto opened = uvm::Access::open(space, range, access);
  if (!opened) {
    const bool is_split = opened.error().kind() == uvm::ErrorKind::Unsupported;
    if (is_split && range.begin().page_down() + uvm::kPageSize < range.end()) {
      return add_pages(space, range, access);
    }
    return std::move(opened).error();
  }
  parts_.push_back({opened->bytes().data(), opened->bytes().size()});
  size_ += range.size();
  open_.push_back(*std::move(opened));
  return uvm::ok();
}

uvm::Status GuestBytes::add_pages(uvm::Space& space, uvm::GpaRange range, uvm::AccessKind access) {
  for (uvm::Gpa at = range.begin(); at < range.end();) {
    const uvm::Gpa next = std::min(at.page_down() + uvm::kPageSize, range.end());
    UVMM_CHECK(add(space, *uvm::GpaRange::from_bounds(at, next), access));
    at = next;
  }
  return uvm::ok();
}

std::optional<std::size_t> copy_to(std::span<const iovec> parts, std::size_t at,
                                   std::span<const std::byte> from) {
  return for_stretches(parts, at, from.size(), [&](std::span<std::byte> stretch, std::size_t done) {
    return ept::host::guarded_copy(stretch, from.subspan(done, stretch.size()));
  });
}

std::optional<std::size_t> copy_from(std::span<const iovec> parts, std::size_t at, std::span<std::byte> to) {
  return for_stretches(parts, at, to.size(), [&](std::span<const std::byte> stretch, std::size_t done) {
    return ept::host::guarded_copy(to.subspan(done, stretch.size()), stretch);
  });
}

uvm::Status read_segments(uvm::Space& space, std::span<const Segment> from, std::span<std::byte> to) {
  for (const Segment& segment : from) {
    const auto part = to.first(std::min<std::size_t>(segment.bytes, to.size()));
    if (part.empty()) break;
    UVMM_CHECK(uvm::Access::read(space, uvm::Gpa(segment.gpa), part));
    to = to.subspan(part.size());
  }
  return uvm::ok();
}

uvm::Status write_segments(uvm::Space& space, std::span<const Segment> to, std::span<const std::byte> from) {
  for (const Segment& segment : to) {
    const auto part = from.first(std::min<std::size_t>(segment.bytes, from.size()));
    if (part.empty()) break;
    UVMM_CHECK(uvm::Access::write(space, uvm::Gpa(segment.gpa), part));
    from = from.subspan(part.size());
  }
  return uvm::ok();
}

std::size_t size_of(std::span<const iovec> parts) {
  std::size_t sum = 0;
  for (const iovec& part : parts) sum += part.iov_len;
  return sum;
}

void append_from(std::vector<iovec>& to, std::span<const iovec> parts, std::size_t& skip) {
  for (const iovec& part : parts) {
    const std::size_t skipped = std::min(skip, part.iov_len);
    skip -= skipped;
    if (skipped == part.iov_len) continue;
    to.push_back({static_cast<std::byte*>(part.iov_base) + skipped, part.iov_len - skipped});
  }
}

}  // namespace vmm::virtio

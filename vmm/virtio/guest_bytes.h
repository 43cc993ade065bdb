// The bytes of a chain's parts, for a system call.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "uvm/access.h"
#include "uvm/base/error.h"
#include "uvm/space.h"
#include "vmm/virtio/chain.h"

namespace vmm::virtio {

/// Opens parts of guest memory where they lie, for the length of a function: see uvm::Access. Not
/// thread-safe.
class GuestBytes {
 public:
  /// What one system call takes (IOV_MAX).
  static constexpr std::size_t kMostParts = 1024;

  /// `segments` from their byte `skip` on, at most `limit` bytes. Errors: those of Access::open(); Invalid
  /// (more than kMostParts).
  [[nodiscard]] static uvm::Result<GuestBytes> open(
      uvm::Space& space, std::span<const Segment> segments, uvm::AccessKind access, std::uint64_t skip = 0,
      std::uint64_t limit = std::numeric_limits<std::uint64_t>::max());

  /// Good as long as this lives. The guest can change the bytes at any time.
  [[nodiscard]] std::span<const iovec> parts() const { return parts_; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  [[nodiscard]] uvm::Status add(uvm::Space& space, uvm::GpaRange range, uvm::AccessKind access);
  [[nodiscard]] uvm::Status add_pages(uvm::Space& space, uvm::GpaRange range, uvm::AccessKind access);

  std::vector<uvm::Access> open_;
  std::vector<iovec> parts_;
  std::size_t size_ = 0;
};

/// Copies as much of `from` as there is room for in `parts` behind their byte `at`; nothing: a page could not
/// be touched (somebody has cut the file that it is of).
[[nodiscard]] std::optional<std::size_t> copy_to(std::span<const iovec> parts, std::size_t at,
                                                 std::span<const std::byte> from);
/// The same the other way.
[[nodiscard]] std::optional<std::size_t> copy_from(std::span<const iovec> parts, std::size_t at,
                                                   std::span<std::byte> to);

/// Copies between guest memory and bytes of this process, as many as there are of the shorter. Errors: those
/// of Access::read() and write().
[[nodiscard]] uvm::Status read_segments(uvm::Space& space, std::span<const Segment> from,
                                        std::span<std::byte> to);
[[nodiscard]] uvm::Status write_segments(uvm::Space& space, std::span<const Segment> to,
                                         std::span<const std::byte> from);

[[nodiscard]] std::size_t size_of(std::span<const iovec> parts);
/// Appends `parts` from their byte `skip` on to `to`, and takes what was skipped off `skip`.
void append_from(std::vector<iovec>& to, std::span<const iovec> parts, std::size_t& skip);

}  // namespace vmm::virtio

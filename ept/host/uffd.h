// userfaultfd: page faults of a range, handled in user space while the faulting thread sleeps.
//
// Never opened with UFFD_USER_MODE_ONLY (KVM's accesses are kernel faults), never with UFFD_FEATURE_SIGBUS
// (under a memory slot it is EFAULT without an address) nor EVENT_UNMAP or EVENT_REMAP (the mapping call
// itself would sleep until somebody reads the event, and that somebody may be the caller).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "ept/host/fd.h"
#include "uvm/base/error.h"
#include "uvm/base/range.h"

namespace ept::host {

/// What is watched in a mapping, a set of bits.
enum class Watch : std::uint8_t {
  Absent = 1,    // accesses to pages that are not there: private memory
  Unmapped = 3,  // the same, and to pages that only this mapping has not: tmpfs files
  Writes = 4,    // writes to pages that were write-protected
};
[[nodiscard]] constexpr Watch operator|(Watch a, Watch b) {
  return static_cast<Watch>(static_cast<std::uint8_t>(a) | static_cast<std::uint8_t>(b));
}

enum class Wake { Yes, No };

struct UffdEvent {
  uvm::Hva address;
  bool write = false;
};

class Uffd {
 public:
  /// Errors: Unsupported (kernel without it, or without what is needed), Permission.
  static uvm::Result<Uffd> open();

  [[nodiscard]] int fd() const { return fd_.get(); }
  /// Writes to tmpfs mappings can be watched (Linux 5.19).
  [[nodiscard]] bool can_protect_shared() const { return can_protect_shared_; }

  /// In place: pages that are present stay. What was watched before no longer is, unless `what` is a part of
  /// it: then all of it still is (the kernel has nothing to do), and only unwatch() makes it less. Fails with
  /// Invalid on mappings that cannot be watched.
  [[nodiscard]] uvm::Status watch(uvm::HvaRange range, Watch what) const;
  /// Wakes everybody who sleeps in the range.
  [[nodiscard]] uvm::Status unwatch(uvm::HvaRange range) const;
  /// Puts a copy of `source` (page-aligned, as long as the range) where pages are absent; atomic for each
  /// page. `Busy` when a page is there already.
  [[nodiscard]] uvm::Status copy(uvm::HvaRange range, const std::byte* source, Wake wake) const;
  /// Makes writes to the pages of a range watched for Writes events, or lets them through again.
  [[nodiscard]] uvm::Status protect_writes(uvm::HvaRange range) const;
  [[nodiscard]] uvm::Status allow_writes(uvm::HvaRange range) const;
  /// Sleepers try their access again.
  void wake(uvm::HvaRange range) const;

  /// Fills `events` without waiting; how many there were.
  [[nodiscard]] std::size_t read(std::span<UffdEvent> events) const;

 private:
  Uffd(UniqueFd fd, bool can_protect_shared) : fd_(std::move(fd)), can_protect_shared_(can_protect_shared) {}
  UniqueFd fd_;
  bool can_protect_shared_ = false;
};

}  // namespace ept::host

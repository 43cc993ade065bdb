// Memory whose contents are what they will always be: what forks, snapshots and processes share.
//
// Whoever maps a frozen object maps it for reading, or privately, and copies what it writes. Nothing guards
// the contents in use: they cannot change. How that is made sure depends on the file:
//   a memfd            sealed; the kernel refuses every write, cut and growth to whoever has a descriptor
//   huge pages         a nameless file on a tmpfs of ours, which has no seals; its only descriptors are open
//                      for reading, and the kernel says whether somebody still has it for writing. Root can
//                      open such a descriptor's file anew, for writing: give it to processes you trust.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "ept/host/backing.h"
#include "ept/host/ram_object.h"
#include "uvm/base/lock.h"

namespace ept::host {

/// Thread-safe. Its descriptor (fd()) is open for reading or sealed, and may be passed to another process,
/// which adopts it as the same object.
class FrozenObject final : public Backing {
 public:
  /// The pages of `ram`, without copying them. From here on nobody can map `ram` for writing or write it by
  /// descriptor; it gives no page for writing any more, and may be destroyed. Writable mappings that exist
  /// (windows of spaces) still write: replace them by private ones of this object while their vCPUs stand,
  /// then seal(). Seals already when there are none. Errors: System (no /proc), NoMemory.
  static uvm::Result<std::unique_ptr<FrozenObject>> freeze(RamObject& ram, std::string name);
  /// A copy of `bytes`, which are not empty; zeros up to the next whole page. Errors: Invalid, NoMemory.
  static uvm::Result<std::unique_ptr<FrozenObject>> from_bytes(std::string name,
                                                               std::span<const std::byte> bytes);
  /// A descriptor that came from elsewhere, if it is of something frozen: a memfd sealed against writes and
  /// changes of size, or a nameless tmpfs file open for reading that nobody has open for writing. Errors:
  /// Invalid (not a file in memory of whole pages), Permission (it can be written), Busy (somebody writes).
  static uvm::Result<std::unique_ptr<FrozenObject>> adopt(UniqueFd fd, std::string name);

  /// Makes sure that no writer is left, for good. Idempotent. Errors: Busy (somebody still has the memory
  /// mapped or pinned for writing; what is written there is seen here).
  [[nodiscard]] uvm::Status seal();
  [[nodiscard]] bool sealed() const { return sealed_; }

  /// Errors: EndOfObject, Protection (a write).
  [[nodiscard]] uvm::Result<uvm::FrameRun> get(const uvm::PagerRequest& request) override;
  [[nodiscard]] std::uint64_t size() const override { return size_; }
  [[nodiscard]] uvm::Protection max_protection() const override { return uvm::Protection::ReadExecute; }
  /// "frozen NAME"
  [[nodiscard]] std::string_view name() const override { return name_; }

 private:
  FrozenObject(UniqueFd readable, UniqueFd sealer, std::string name, std::uint64_t size);

  const std::string name_;
  const std::uint64_t size_;
  std::atomic<bool> sealed_ = false;
  uvm::Mutex mutex_{uvm::LockRank::Leaf};
  /// Open for writing, which sealing a memfd takes; none of a tmpfs file, and none once it is sealed.
  UniqueFd sealer_ GUARDED_BY(mutex_);
};

}  // namespace ept::host

// Pages copied one behind the other into an object that is frozen when all are there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "ept/host/ram_object.h"
#include "ept/host/shared_view.h"
#include "uvm/base/error.h"
#include "vmm/snapshot/memory_image.h"

namespace vmm::snapshot {

/// Not thread-safe.
class PageStore {
 public:
  /// From so many pages on, host pages of 2 MiB are worth the part of the last one that is made in vain: a
  /// page of 4 KiB takes 4 microseconds to make, as a part of a large one 0.6.
  static constexpr std::uint64_t kLargeFrom = 512;

  /// So many pages that are there at once, and what host pages they may be parts of.
  struct Expected {
    std::uint64_t pages = 0;
    ept::host::HugePages huge = ept::host::HugePages::Never;
  };
  /// Room for `pages`, which costs nothing until they are there. Errors: NoMemory, System.
  [[nodiscard]] static uvm::Result<PageStore> create(std::uint64_t pages, Expected expected);
  [[nodiscard]] static uvm::Result<PageStore> create(std::uint64_t pages) {
    return create(pages, Expected{});
  }

  /// Makes the first `pages` of that room: a page that is made when it is needed costs several times as much.
  /// What is not used of them is given back by freeze().
  void prepare(std::uint64_t pages);
  /// Room for the next pages, to be filled at once; what is not kept with keep() is given again.
  [[nodiscard]] std::span<std::byte> next(std::uint64_t pages);
  /// Bytes that were kept: where the next page will be.
  [[nodiscard]] std::uint64_t used() const { return used_; }
  void keep(std::uint64_t pages) { used_ += pages * uvm::kPageSize; }
  /// Nothing was kept.
  void start_over() { used_ = 0; }
  /// Stands for the object in lists until freeze() makes it; as long as the store is there.
  [[nodiscard]] MemoryObject object() const { return {MemoryObject(), object_.get()}; }
  /// Gives back the memory of all that was kept but these bytes, which are ascending and apart.
  void keep_only(std::span<const uvm::ObjectRange> kept);
  /// Null when nothing was kept. Errors: System.
  [[nodiscard]] uvm::Result<MemoryObject> freeze() &&;

 private:
  PageStore(std::unique_ptr<ept::host::RamObject> object, ept::host::SharedView view)
      : object_(std::move(object)), view_(std::move(view)) {}

  std::unique_ptr<ept::host::RamObject> object_;
  ept::host::SharedView view_;
  std::uint64_t used_ = 0;       // bytes
  std::uint64_t populated_ = 0;  // bytes from the begin on that the kernel has made
};

}  // namespace vmm::snapshot

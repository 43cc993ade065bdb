#include "vmm/snapshot/page_store.h"

#include <utility>

#include "ept/host/frozen_object.h"

namespace vmm::snapshot {

uvm::Result<PageStore> PageStore::create(std::uint64_t pages) {
  using ept::host::SharedView;
  const std::uint64_t size = pages * uvm::kPageSize;
  UVMM_TRY(auto object, ept::host::RamObject::create("pages", size, ept::host::HugePages::Never));
  UVMM_TRY(SharedView view, SharedView::reserve(size));
  UVMM_CHECK(view.show(0, size, object->fd(), 0, SharedView::Access::ReadWrite));
  return PageStore(std::move(object), std::move(view));
}

uvm::Result<MemoryObject> PageStore::freeze() && {
  if (used_ == 0) return MemoryObject();
  {
    // A mapping for writing keeps it from being sealed.
    const ept::host::SharedView gone = std::move(view_);
  }
  UVMM_TRY(auto frozen, ept::host::FrozenObject::freeze(*object_, "pages"));
  UVMM_CHECK(frozen->seal());
  return MemoryObject(std::move(frozen));
}

}  // namespace vmm::snapshot

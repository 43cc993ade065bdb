#include "vmm/snapshot/page_store.h"

#include <algorithm>
#include <utility>

#include "ept/host/frozen_object.h"

namespace vmm::snapshot {
namespace {

/// Made in one go, as many bytes again as there are: a page that is made by being touched costs several times
/// as much.
constexpr std::uint64_t kLeastAhead = std::uint64_t{64} << 10;
constexpr std::uint64_t kMostAhead = std::uint64_t{1} << 20;

}  // namespace

void PageStore::prepare(std::uint64_t pages) {
  const std::uint64_t size = std::min<std::uint64_t>(pages * uvm::kPageSize, view_.bytes().size());
  if (size <= populated_) return;
  view_.populate(populated_, size - populated_);
  populated_ = size;
}

std::span<std::byte> PageStore::next(std::uint64_t pages) {
  const std::uint64_t bytes = pages * uvm::kPageSize;
  while (used_ + bytes > populated_ && populated_ < view_.bytes().size()) {
    const std::uint64_t left = view_.bytes().size() - populated_;
    const auto ahead = std::clamp(populated_, kLeastAhead, kMostAhead);
    const std::uint64_t size = std::min<std::uint64_t>(ahead, left);
    view_.populate(populated_, size);
    populated_ += size;
  }
  return view_.bytes().subspan(used_, bytes);
}

void PageStore::keep_only(std::span<const uvm::ObjectRange> kept) {
  std::uint64_t at = 0;
  const auto drop_before = [&](std::uint64_t begin) {
    if (at < begin) object_->drop(at, begin - at);
  };
  for (const uvm::ObjectRange& range : kept) {
    drop_before(range.begin().value());
    at = range.end().value();
  }
  drop_before(used_);
}

uvm::Result<PageStore> PageStore::create(std::uint64_t pages, Expected expected) {
  using ept::host::SharedView;
  const std::uint64_t size = pages * uvm::kPageSize;
  const auto huge = expected.pages >= kLargeFrom ? expected.huge : ept::host::HugePages::Never;
  UVMM_TRY(auto object, ept::host::RamObject::create("pages", size, huge));
  UVMM_TRY(SharedView view, SharedView::reserve(size));
  UVMM_CHECK(view.show(0, size, object->fd(), 0, SharedView::Access::ReadWrite));
  PageStore store(std::move(object), std::move(view));
  store.prepare(expected.pages);
  return store;
}

uvm::Result<MemoryObject> PageStore::freeze() && {
  if (used_ == 0) return MemoryObject();
  {
    // A mapping for writing keeps it from being sealed.
    const ept::host::SharedView gone = std::move(view_);
  }
  // All of it: the last large page reaches beyond what was asked for.
  if (used_ < object_->size()) object_->drop(used_, object_->size() - used_);
  UVMM_TRY(auto frozen, ept::host::FrozenObject::freeze(*object_, "pages"));
  UVMM_CHECK(frozen->seal());
  return MemoryObject(std::move(frozen));
}

}  // namespace vmm::snapshot

// Loader: private pages that are made when their range is entered.
#include "ept/loader.h"

namespace ept {
namespace {

using Access = host::Window::Access;

}  // namespace

void Loader::defer(DeferredPages pages) {
  deferred_.add(std::move(pages));
}

uvm::Status Loader::compose(uvm::GpaRange range) {
  if (deferred_.empty()) return uvm::ok();
  while (const DeferredPages* pages = deferred_.first_in(range)) {
    const uvm::GpaRange whole = pages->range;
    UVMM_CHECK(prepare(whole));
    if (auto status = compose_stash(*pages); !status) {
      discard_stash(whole);
      return status;
    }
    deferred_.forget(whole);
  }
  return uvm::ok();
}

uvm::Status Loader::compose_stash(const DeferredPages& pages) {
  // Nothing of the range was ever entered, so nothing of it is private but these: what the stash shows there
  // can take the window's place as it is.
  UVMM_CHECK(stash_window_->map_private(pages.range, *pages.base, pages.first_page, Access::ReadWrite));
  stash_.assign(pages.range, shown_pages(*pages.base, pages.first_page, Show::PrivateFile, Guard::Open));
  for (auto first = pages.pages.begin(); first != pages.pages.end();) {
    auto end = first + 1;
    const auto follows = [&] {
      const auto ahead = static_cast<std::uint64_t>(end - first);
      return end != pages.pages.end() && end->guest == first->guest + ahead && end->source == first->source &&
             end->index == first->index + ahead;
    };
    while (follows()) ++end;
    const auto count = static_cast<std::uint64_t>(end - first);
    const auto run =
        *uvm::GpaRange::from_size(uvm::Gpa(first->guest << uvm::kPageShift), count << uvm::kPageShift);
    UVMM_CHECK(copy_private(stash_window_->bytes(run), first->source->page(first->index, count), run));
    first = end;
  }
  for (const auto& source : pages.sources) source->let_pages_go();
  return uvm::ok();
}

}  // namespace ept

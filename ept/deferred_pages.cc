#include "ept/deferred_pages.h"

#include <algorithm>
#include <set>
#include <utility>

#include "uvm/base/runs.h"

namespace ept {
namespace {

using Page = DeferredPages::Page;

/// Those of some pages that lie in a range.
std::span<const Page> pages_in(const std::vector<Page>& pages, uvm::GpaRange range) {
  const auto begin = std::ranges::lower_bound(pages, range.begin().page(), {}, &Page::guest);
  const auto end = std::ranges::lower_bound(pages, range.end().page(), {}, &Page::guest);
  return {begin, end};
}

}  // namespace

uvm::Result<std::shared_ptr<const DeferredSource>> DeferredSource::map(
    std::shared_ptr<host::Backing> object) {
  UVMM_TRY(auto view, host::SharedView::of_file(object->fd(), object->size()));
  return std::shared_ptr<const DeferredSource>(new DeferredSource(std::move(object), std::move(view)));
}

void DeferredSet::add(DeferredPages pages) {
  const uvm::Gpa begin = pages.range.begin();
  by_begin_.emplace(begin, std::move(pages));
}

DeferredSet::Map::const_iterator DeferredSet::behind(uvm::Gpa address) const {
  auto next = by_begin_.upper_bound(address);
  if (next == by_begin_.begin()) return next;
  const auto before = std::prev(next);
  return before->second.range.end() > address ? before : next;
}

const DeferredPages* DeferredSet::first_in(uvm::GpaRange range) const {
  const auto first = behind(range.begin());
  return first == by_begin_.end() || first->first >= range.end() ? nullptr : &first->second;
}

void DeferredSet::forget(uvm::GpaRange range) noexcept {
  for (auto next = behind(range.begin()); next != by_begin_.end() && next->first < range.end();) {
    auto& pages = by_begin_.find(next->first)->second.pages;
    const auto gone = pages_in(pages, range);
    const auto first = pages.begin() + (gone.data() - pages.data());
    pages.erase(first, first + static_cast<std::ptrdiff_t>(gone.size()));
    next = pages.empty() ? by_begin_.erase(next) : std::next(next);
  }
}

const Page* DeferredSet::find(uvm::Gpa page) const {
  const auto holder = behind(page);
  if (holder == by_begin_.end() || !holder->second.range.contains(page)) return nullptr;
  const auto found = pages_in(holder->second.pages, uvm::GpaRange::page_of(page));
  return found.empty() ? nullptr : found.data();
}

std::optional<std::span<const std::byte>> DeferredSet::bytes_of(uvm::Gpa page) const {
  const Page* found = find(page);
  if (found == nullptr) return std::nullopt;
  return found->source->page(found->index, 1);
}

std::vector<uvm::GpaRange> DeferredSet::runs(uvm::GpaRange range) const {
  std::vector<uvm::GpaRange> runs;
  for (auto next = behind(range.begin()); next != by_begin_.end() && next->first < range.end(); ++next) {
    for (const Page& page : pages_in(next->second.pages, range)) {
      append_run(runs, uvm::GpaRange::page_of(uvm::Gpa(page.guest << uvm::kPageShift)));
    }
  }
  return runs;
}

uvm::GpaRange DeferredSet::around(uvm::Gpa page, uvm::GpaRange run) const {
  auto next = behind(page);
  if (next != by_begin_.end() && next->second.range.contains(page)) {
    return run.intersection(next->second.range);
  }
  if (next != by_begin_.end()) run = run.before(next->first);
  if (next != by_begin_.begin()) run = run.from(std::prev(next)->second.range.end());
  return run;
}

void DeferredSet::let_pages_go(uvm::GpaRange range) const {
  std::set<const DeferredSource*> sources;
  for (auto next = behind(range.begin()); next != by_begin_.end() && next->first < range.end(); ++next) {
    for (const auto& source : next->second.sources) sources.insert(source.get());
  }
  for (const DeferredSource* source : sources) source->let_pages_go();
}

std::uint64_t DeferredSet::bytes() const {
  std::uint64_t sum = 0;
  for (const auto& [begin, pages] : by_begin_) {
    sum += sizeof pages + pages.pages.capacity() * sizeof(Page);
  }
  return sum;
}

}  // namespace ept

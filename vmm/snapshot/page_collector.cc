#include "vmm/snapshot/page_collector.h"

#include <algorithm>
#include <utility>

#include "ept/loader.h"

namespace vmm::snapshot {
namespace {

/// Two lists that have no page in common, as one.
std::vector<MemoryRegion> joined(const std::vector<MemoryRegion>& one,
                                 const std::vector<MemoryRegion>& other) {
  std::vector<MemoryRegion> all;
  all.reserve(one.size() + other.size());
  auto next = other.begin();
  for (const MemoryRegion& region : one) {
    for (; next != other.end() && next->range.begin() < region.range.begin(); ++next) {
      append_region(all, *next);
    }
    append_region(all, region);
  }
  for (; next != other.end(); ++next) append_region(all, *next);
  return all;
}

/// What of an object is in a list, ascending.
std::vector<uvm::ObjectRange> places_in(const MemoryObject& object, const std::vector<MemoryRegion>& list) {
  std::vector<uvm::ObjectRange> places;
  for (const MemoryRegion& run : list) {
    if (run.object != object) continue;
    places.push_back(*uvm::ObjectRange::from_size(uvm::ObjectOffset(run.offset), run.range.size()));
  }
  std::ranges::sort(places);
  return places;
}

}  // namespace

uvm::Result<PageCollector> PageCollector::create(std::uint64_t pages, PageStore::Expected expected,
                                                 PriorPages prior) {
  UVMM_TRY(auto store, PageStore::create(pages, expected));
  return PageCollector(std::move(store), std::move(prior));
}

void PageCollector::prepare(std::uint64_t pages) {
  store_.prepare((store_.used() >> uvm::kPageShift) + pages);
}

void PageCollector::look_again(std::vector<uvm::GpaRange> ranges) {
  looks_.push_back({std::move(ranges), {}});
}

void PageCollector::start_over() {
  looks_.assign(1, {});
  store_.start_over();
}

uvm::Status PageCollector::keep(uvm::GpaRange run, std::span<const std::byte> bytes) {
  if (prior_.empty()) {
    UVMM_CHECK(ept::copy_private(store_.next(run.pages()), bytes, run));
    kept(run);
    return uvm::ok();
  }
  for (std::uint64_t at = 0; at < run.size(); at += uvm::kPageSize) {
    UVMM_CHECK(keep_page(uvm::GpaRange::page_of(run.begin() + at), bytes.subspan(at, uvm::kPageSize)));
  }
  return uvm::ok();
}

uvm::Status PageCollector::keep_page(uvm::GpaRange page, std::span<const std::byte> bytes) {
  // Compared where it will be if it differs: the guest's own may go while it is looked at.
  const auto copy = store_.next(1);
  UVMM_CHECK(ept::copy_private(copy, bytes, page));
  if (const auto there = prior_.find(page.begin(), copy)) {
    append_region(looks_.back().found, *there);
  } else {
    kept(page);
  }
  return uvm::ok();
}

void PageCollector::kept(uvm::GpaRange run) {
  append_region(looks_.back().found, {run, store_.object(), store_.used()});
  store_.keep(run.pages());
}

std::vector<MemoryRegion> PageCollector::merged() {
  std::vector<MemoryRegion> all = std::move(looks_.front().found);
  for (auto look = looks_.begin() + 1; look != looks_.end(); ++look) {
    all = joined(without(all, look->ranges), look->found);
  }
  return all;
}

uvm::Result<std::vector<MemoryRegion>> PageCollector::finish() && {
  const MemoryObject copies = store_.object();
  std::vector<MemoryRegion> all = merged();
  if (looks_.size() > 1) store_.keep_only(places_in(copies, all));
  UVMM_TRY(const MemoryObject pages, std::move(store_).freeze());
  for (MemoryRegion& run : all) {
    if (run.object == copies) run.object = pages;
  }
  return all;
}

}  // namespace vmm::snapshot

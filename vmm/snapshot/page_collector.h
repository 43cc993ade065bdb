// The changed pages of an image, as they are collected: in a first look at all of them, while the guest runs
// perhaps, and in later ones at what may have changed since.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/base/range.h"
#include "vmm/snapshot/memory_image.h"
#include "vmm/snapshot/page_store.h"
#include "vmm/snapshot/prior_pages.h"

namespace vmm::snapshot {

/// Not thread-safe.
class PageCollector {
 public:
  /// Room for copies of `pages`, some of which are `expected`; `prior` has those that need not be copied.
  /// Errors: NoMemory, System.
  [[nodiscard]] static uvm::Result<PageCollector> create(std::uint64_t pages, PageStore::Expected expected,
                                                         PriorPages prior);

  /// Makes room for so many more copies now, which is cheaper than when they are needed.
  void prepare(std::uint64_t pages);

  /// What is kept from here on takes the place of all that earlier looks found in these ranges, which are
  /// ascending and apart.
  void look_again(std::vector<uvm::GpaRange> ranges);
  /// Forgets what earlier looks found.
  void start_over();
  /// Pages of a look, ascending. Errors: PagerIo (somebody has taken them away).
  [[nodiscard]] uvm::Status keep(uvm::GpaRange run, std::span<const std::byte> bytes);

  /// What all looks together found; copies that a later look has made useless are given back. Errors: System.
  [[nodiscard]] uvm::Result<std::vector<MemoryRegion>> finish() &&;

 private:
  struct Look {
    std::vector<uvm::GpaRange> ranges;  // of the first one all
    std::vector<MemoryRegion> found;    // copies are in store_.object()
  };

  PageCollector(PageStore store, PriorPages prior) : store_(std::move(store)), prior_(std::move(prior)) {}
  [[nodiscard]] uvm::Status keep_page(uvm::GpaRange page, std::span<const std::byte> bytes);
  /// The copies of a run are there.
  void kept(uvm::GpaRange run);
  [[nodiscard]] std::vector<MemoryRegion> merged();

  PageStore store_;
  PriorPages prior_;
  std::vector<Look> looks_{1};
};

}  // namespace vmm::snapshot

// Private pages that are not made before somebody comes near them.
//
// A copy of a machine has the pages that were written before it was made, as private pages over memory that
// all copies share. Making them takes two microseconds each and memory of their own; most copies touch few.
// So they stay where they are, in an object that never changes, until something of their range is entered:
// then all of that range are made at once, out of view, and come into view with it.
//
// They are private pages all the while: harvests name them, and their bytes can be read.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ept/host/backing.h"
#include "ept/host/shared_view.h"
#include "uvm/base/error.h"
#include "uvm/base/range.h"

namespace ept {

/// Where the bytes of deferred pages are: an object that nobody changes, mapped for reading. Immutable.
class DeferredSource {
 public:
  /// Errors: NoMemory, System.
  [[nodiscard]] static uvm::Result<std::shared_ptr<const DeferredSource>> map(
      std::shared_ptr<host::Backing> object);
  [[nodiscard]] const std::shared_ptr<host::Backing>& object() const { return object_; }
  /// After some have been copied: what was looked at is not to be counted as this process's.
  void let_pages_go() const { view_.let_pages_go(); }
  [[nodiscard]] std::span<const std::byte> page(std::uint64_t index, std::uint64_t count) const {
    return std::span<const std::byte>(view_.bytes())
        .subspan(index << uvm::kPageShift, count << uvm::kPageShift);
  }

 private:
  DeferredSource(std::shared_ptr<host::Backing> object, host::SharedView view)
      : object_(std::move(object)), view_(std::move(view)) {}

  std::shared_ptr<host::Backing> object_;
  host::SharedView view_;
};

/// Pages that are made together.
struct DeferredPages {
  struct Page {
    std::uint64_t guest = 0;                 // its page number
    const DeferredSource* source = nullptr;  // one of `sources`
    std::uint64_t index = 0;                 // of its bytes there, in pages
  };

  uvm::GpaRange range;                  // whole pages; shows one piece of one object under the pages
  std::shared_ptr<host::Backing> base;  // that object
  std::uint64_t first_page = 0;         // of it, at range.begin()
  std::vector<std::shared_ptr<const DeferredSource>> sources;
  std::vector<Page> pages;  // ascending, within the range, at least one
};

/// Those of one space that have not been made. Not thread-safe.
class DeferredSet {
 public:
  /// Overlaps none that is there.
  void add(DeferredPages pages);
  [[nodiscard]] bool empty() const { return by_begin_.empty(); }

  /// The first that overlaps a range, or null. Valid until the next change.
  [[nodiscard]] const DeferredPages* first_in(uvm::GpaRange range) const;
  /// Those in a range are somebody else's business now, or nobody's. Needs no memory.
  void forget(uvm::GpaRange range) noexcept;

  [[nodiscard]] bool contains(uvm::Gpa page) const { return find(page) != nullptr; }
  /// The bytes of a page; nothing: it is none of these.
  [[nodiscard]] std::optional<std::span<const std::byte>> bytes_of(uvm::Gpa page) const;
  /// The pages in a range as runs, ascending.
  [[nodiscard]] std::vector<uvm::GpaRange> runs(uvm::GpaRange range) const;
  /// The part of `run` around `page` that nothing is deferred in, or, where `page` itself lies in the range
  /// of some, the part that shares it.
  [[nodiscard]] uvm::GpaRange around(uvm::Gpa page, uvm::GpaRange run) const;
  /// After all in a range have been read: see DeferredSource.
  void let_pages_go(uvm::GpaRange range) const;
  [[nodiscard]] std::uint64_t bytes() const;

 private:
  using Map = std::map<uvm::Gpa, DeferredPages>;
  /// The first that ends behind an address.
  [[nodiscard]] Map::const_iterator behind(uvm::Gpa address) const;
  [[nodiscard]] const DeferredPages::Page* find(uvm::Gpa page) const;

  Map by_begin_;
};

}  // namespace ept

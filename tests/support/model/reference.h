// The reference model: what each space must read at each address, and which bytes every pin holds. Plain
// arrays and reference counts, one page at a time, no laziness and no cleverness.
//
// A page's bytes are a Words. An object is a list of pointers to its pages' words; a mapping without pages of
// its own has an empty cell; spaces that share private memory hold the same cell. A pin holds the words
// themselves, so it needs no rule for anything that may happen to its pages.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "tests/support/model/op.h"
#include "uvm/base/error.h"

namespace test::model {

using Words = std::array<std::uint64_t, kWords>;
using Bytes = std::shared_ptr<Words>;

/// What word `word` of page `page` of an object is at first.
[[nodiscard]] std::uint64_t first_word(int object, std::uint64_t page, std::uint64_t word);

/// What an operation has to answer.
struct Expected {
  std::optional<uvm::ErrorKind> error{};
  /// The operation may also be refused with this one: the model does not know where bytes lie.
  std::optional<uvm::ErrorKind> or_error{};
  /// There is nothing to do it with (no such space, say): it is left out.
  bool is_void = false;
};

class Reference {
 public:
  Reference();

  [[nodiscard]] bool has_space(std::size_t space) const { return spaces_[space].has_value(); }
  [[nodiscard]] bool has_pin(std::size_t pin) const { return pins_[pin].has_value(); }
  [[nodiscard]] std::size_t space_of_pin(std::size_t pin) const { return pins_[pin]->space; }
  [[nodiscard]] std::uint64_t first_of_pin(std::size_t pin) const { return pins_[pin]->first; }
  [[nodiscard]] const std::vector<Bytes>& frames_of_pin(std::size_t pin) const { return pins_[pin]->frames; }
  [[nodiscard]] std::uint64_t pins_of_page(std::size_t space, std::uint64_t page) const;
  [[nodiscard]] bool is_limited(std::size_t space) const { return limited_[space]; }

  /// What the operation must answer now; changes nothing.
  [[nodiscard]] Expected expect(const Op& op) const;
  /// The operation was done.
  void done(const Op& op);
  /// The operation was refused with what expect() said.
  void refused(const Op& op);

  /// What an access of that kind to a page gives: nothing, or the kind of error.
  [[nodiscard]] std::optional<uvm::ErrorKind> error(std::size_t space, std::uint64_t page,
                                                    uvm::AccessKind access) const;
  /// The bytes that a page shows; it is mapped and within its object.
  [[nodiscard]] Words words(std::size_t space, std::uint64_t page) const;
  /// A page over an object is a copy of its own from now on, if its mapping is private.
  void make_private(std::size_t space, std::uint64_t page);
  [[nodiscard]] bool may_write(std::size_t space, std::uint64_t page) const;
  /// Whether nobody could tell if the page's own bytes were dropped; drops them.
  [[nodiscard]] bool is_as_below(std::size_t space, std::uint64_t page) const;
  void drop_own(std::size_t space, std::uint64_t page);
  /// Of the pages of a discard, how many cost nothing afterwards.
  [[nodiscard]] std::uint64_t discarded(const Op& op) const;

  [[nodiscard]] const std::vector<Bytes>& object(int object) const {
    return objects_[static_cast<std::size_t>(object)];
  }
  /// Whether the page shows those very words, and not only equal ones.
  [[nodiscard]] bool shows(std::size_t space, std::uint64_t page, const Bytes& words) const;
  /// Whether a space has a page of its own over a page of the object from `page` on.
  [[nodiscard]] bool has_private_pages_over(int object, std::uint64_t page) const;

 private:
  struct Cell {
    Bytes own;
  };
  struct Page {
    uvm::Protection protection = uvm::Protection::All;
    uvm::Protection max_protection = uvm::Protection::All;
    uvm::Sharing sharing = uvm::Sharing::Private;
    uvm::Inherit inherit = uvm::Inherit::Copy;
    int object = -1;
    std::uint64_t object_page = 0;
    std::shared_ptr<Cell> cell;

    [[nodiscard]] bool has_layer() const { return object < 0 || sharing == uvm::Sharing::Private; }
  };
  using Space = std::map<std::uint64_t, Page>;
  struct Pin {
    std::size_t space = 0;
    std::uint64_t first = 0;
    uvm::PinAccess access = uvm::PinAccess::Write;
    uvm::ForkPolicy policy = uvm::ForkPolicy::Copy;
    std::vector<Bytes> frames;
  };
  /// What wire_all() holds in a space: pages, which stay mapped.
  struct Whole {
    uvm::WireScope scope = uvm::WireScope::Both;
    uvm::ForkPolicy policy = uvm::ForkPolicy::Copy;
    std::set<std::uint64_t> pages;
  };
  struct PageRange {
    std::uint64_t first = 0;
    std::uint64_t end = 0;
  };
  static constexpr PageRange kAll{0, kPages};

  [[nodiscard]] bool is_past_the_end(const Page& page) const;
  /// What the page would show without bytes of its own; it is within its object.
  [[nodiscard]] Words below(const Page& page) const;
  [[nodiscard]] std::optional<uvm::ErrorKind> error(const Page& page, uvm::Protection allowed,
                                                    uvm::AccessKind access) const;
  [[nodiscard]] bool has_hole(const Op& op) const;
  [[nodiscard]] bool has_any(std::size_t space, std::uint64_t first, std::uint64_t count) const;
  [[nodiscard]] bool is_pinned(std::size_t space, std::uint64_t first, std::uint64_t count) const;
  [[nodiscard]] Expected expect_map(const Op& op) const;
  [[nodiscard]] Expected expect_protect(const Op& op) const;
  [[nodiscard]] Expected expect_fault(const Op& op) const;
  [[nodiscard]] Expected expect_pin(const Op& op) const;
  [[nodiscard]] Expected expect_fork(const Op& op) const;
  [[nodiscard]] Expected expect_debugger(const Op& op) const;
  [[nodiscard]] Expected expect_extract(const Op& op) const;
  [[nodiscard]] Expected expect_limit(const Op& op) const;
  [[nodiscard]] Expected expect_wire_all(const Op& op) const;
  /// Writes through it reach its object, so that no limit can count its pages.
  [[nodiscard]] static bool is_uncountable(const Page& page);
  [[nodiscard]] static Page mapped_by(const Op& op, std::uint64_t number);
  [[nodiscard]] static PageRange pages_of(const Op& op) { return {op.first, op.first + op.count}; }
  [[nodiscard]] bool wires_future(std::size_t space) const;
  /// The pages that wiring the whole space would add there, with `rights` (nullopt: those they have).
  [[nodiscard]] std::vector<std::uint64_t> missing(std::size_t space, PageRange range,
                                                   std::optional<uvm::Protection> rights = {}) const;
  /// Whether a page of them has nothing that could be wired.
  [[nodiscard]] bool has_lost(std::size_t space, const std::vector<std::uint64_t>& pages) const;
  [[nodiscard]] std::vector<uvm::ForkPolicy> policies(std::size_t space, std::uint64_t page) const;

  /// Where a write to the page goes, and what a pin of it holds; the page is mapped and within its object.
  [[nodiscard]] Bytes target(Page& page);
  [[nodiscard]] Bytes& own(Page& page);
  [[nodiscard]] Bytes wire(Page& page);
  void map(const Op& op);
  void extract(const Op& op);
  [[nodiscard]] bool can_discard(std::size_t space, std::uint64_t number) const;
  /// Whether another mapping shows what this one shows, and would miss it.
  [[nodiscard]] bool is_shown_elsewhere(const Page& page) const;
  void discard(const Op& op);
  void wire_all(const Op& op);
  void wire_whole(std::size_t space, PageRange range);
  void wire_future(std::size_t space, PageRange range);
  /// The pages before the first one that cannot be wired are prepared, and stay so.
  void prepare(std::size_t space, const std::vector<std::uint64_t>& pages);
  void done_to_all(const Op& op);
  void refused_at_the_end(const Op& op);
  void pin(const Op& op);
  void fork(const Op& op);
  [[nodiscard]] static std::optional<Page> inherited(const Page& page);
  void destroy(std::size_t space);
  void truncate(int object, std::uint64_t pages);
  template <class F>
  void each_page(const Op& op, F&& change);

  std::array<std::optional<Space>, kSpaces> spaces_;
  std::array<std::optional<Pin>, kPins> pins_;
  std::array<std::optional<Whole>, kSpaces> wholes_;
  std::array<bool, kSpaces> limited_{};
  std::array<std::vector<Bytes>, kObjects> objects_;
};

}  // namespace test::model

#include "tests/support/model/reference.h"

#include <algorithm>

namespace test::model {

using uvm::AccessKind;
using uvm::ErrorKind;
using uvm::Inherit;
using uvm::Protection;
using uvm::Sharing;

std::uint64_t first_word(int object, std::uint64_t page, std::uint64_t word) {
  return (static_cast<std::uint64_t>(object) + 1) << 48 | (page + 1) << 16 | (word + 1);
}

Reference::Reference() {
  for (std::size_t i = 0; i < kObjects; ++i) {
    for (std::uint64_t page = 0; page < kObjectPages; ++page) {
      const int object = static_cast<int>(i);
      objects_[i].push_back(
          std::make_shared<Words>(Words{first_word(object, page, 0), first_word(object, page, 1)}));
    }
  }
}

// ---- what an access finds -------------------------------------------------------------------------------

bool Reference::is_past_the_end(const Page& page) const {
  if (page.object < 0 || (page.has_layer() && page.cell->own)) return false;
  return page.object_page >= object(page.object).size();
}

std::optional<ErrorKind> Reference::error(const Page& page, Protection allowed, AccessKind access) const {
  if (!includes(allowed, needed(access))) return ErrorKind::Protection;
  if (is_past_the_end(page)) return ErrorKind::EndOfObject;
  return std::nullopt;
}

std::optional<ErrorKind> Reference::error(std::size_t space, std::uint64_t page, AccessKind access) const {
  const auto found = spaces_[space]->find(page);
  if (found == spaces_[space]->end()) return ErrorKind::NoMapping;
  return error(found->second, found->second.protection, access);
}

Words Reference::words(std::size_t space, std::uint64_t number) const {
  const Page& page = spaces_[space]->at(number);
  if (page.has_layer() && page.cell->own) return *page.cell->own;
  return below(page);
}

Words Reference::below(const Page& page) const {
  return page.object < 0 ? Words{} : *object(page.object)[page.object_page];
}

bool Reference::is_as_below(std::size_t space, std::uint64_t number) const {
  const Page& page = spaces_[space]->at(number);
  return !page.cell->own || *page.cell->own == below(page);
}

void Reference::drop_own(std::size_t space, std::uint64_t page) {
  spaces_[space]->at(page).cell->own.reset();
}

bool Reference::may_write(std::size_t space, std::uint64_t page) const {
  return !error(space, page, AccessKind::Write);
}

bool Reference::shows(std::size_t space, std::uint64_t number, const Bytes& words) const {
  const Page& page = spaces_[space]->at(number);
  if (page.has_layer() && page.cell->own) return page.cell->own == words;
  return !is_past_the_end(page) && page.object >= 0 && object(page.object)[page.object_page] == words;
}

bool Reference::has_private_pages_over(int object, std::uint64_t first) const {
  for (const auto& space : spaces_) {
    if (!space) continue;
    for (const auto& [number, page] : *space) {
      if (page.object == object && page.object_page >= first && page.has_layer() && page.cell->own)
        return true;
    }
  }
  return false;
}

Bytes& Reference::own(Page& page) {
  Bytes& own = page.cell->own;
  if (!own) own = std::make_shared<Words>(below(page));
  return own;
}

Bytes Reference::target(Page& page) {
  return page.has_layer() ? own(page) : object(page.object)[page.object_page];
}

/// What a wiring fault prepares for the most that the mapping can allow finds or makes.
Bytes Reference::wire(Page& page) {
  const bool makes_a_copy =
      page.has_layer() && (page.object < 0 || includes(page.max_protection, Protection::Write));
  if (makes_a_copy || (page.has_layer() && page.cell->own)) return own(page);
  return object(page.object)[page.object_page];
}

void Reference::make_private(std::size_t space, std::uint64_t page) {
  Page& found = spaces_[space]->at(page);
  if (found.has_layer()) static_cast<void>(own(found));
}

// ---- what an operation answers --------------------------------------------------------------------------

std::vector<uvm::ForkPolicy> Reference::policies(std::size_t space, std::uint64_t page) const {
  std::vector<uvm::ForkPolicy> found;
  for (const auto& pin : pins_) {
    if (pin && pin->space == space && pin->first <= page && page < pin->first + pin->frames.size())
      found.push_back(pin->policy);
  }
  const auto& whole = wholes_[space];
  if (whole && whole->pages.count(page) != 0) found.push_back(whole->policy);
  return found;
}

std::uint64_t Reference::pins_of_page(std::size_t space, std::uint64_t page) const {
  return policies(space, page).size();
}

bool Reference::is_pinned(std::size_t space, std::uint64_t first, std::uint64_t count) const {
  for (std::uint64_t page = first; page < first + count; ++page) {
    if (pins_of_page(space, page) != 0) return true;
  }
  return false;
}

bool Reference::has_any(std::size_t space, std::uint64_t first, std::uint64_t count) const {
  const auto there = spaces_[space]->lower_bound(first);
  return there != spaces_[space]->end() && there->first < first + count;
}

bool Reference::has_hole(const Op& op) const {
  for (std::uint64_t page = op.first; page < op.first + op.count; ++page) {
    if (spaces_[op.space]->count(page) == 0) return true;
  }
  return false;
}

Expected Reference::expect(const Op& op) const {
  const auto refused_with = [](ErrorKind kind) { return Expected{kind, std::nullopt, false}; };
  const Expected nothing{std::nullopt, std::nullopt, true};
  switch (op.what) {
    case Do::Create:
      return has_space(op.space) ? nothing : Expected{};
    case Do::Unpin:
      return has_pin(op.pin) ? Expected{} : nothing;
    case Do::Dma:
      return has_pin(op.pin) && pins_[op.pin]->access == uvm::PinAccess::Write ? Expected{} : nothing;
    case Do::Truncate:
      return {};
    default:
      break;
  }
  if (!has_space(op.space)) return nothing;
  switch (op.what) {
    case Do::Map:
      return expect_map(op);
    case Do::Unmap:
      return is_pinned(op.space, op.first, op.count) ? refused_with(ErrorKind::Pinned) : Expected{};
    case Do::Protect:
      return expect_protect(op);
    case Do::Inherit:
    case Do::Advise:
      return has_hole(op) ? refused_with(ErrorKind::NoMapping) : Expected{};
    case Do::Load:
    case Do::Read:
      return {error(op.space, op.first, AccessKind::Read)};
    case Do::Store:
    case Do::Write:
      return {error(op.space, op.first, AccessKind::Write)};
    case Do::Execute:
      return {error(op.space, op.first, AccessKind::Execute)};
    case Do::Fault:
      return expect_fault(op);
    case Do::Peek:
    case Do::Poke:
    case Do::Reshare:
      return expect_debugger(op);
    case Do::Pin:
      return expect_pin(op);
    case Do::Fork:
      return op.child == op.space ? nothing : expect_fork(op);
    case Do::Limit:
      return expect_limit(op);
    case Do::Evict:
      return is_limited(op.space) ? Expected{} : nothing;
    case Do::WireAll:
      return expect_wire_all(op);
    case Do::UnwireAll:
      return wholes_[op.space] ? Expected{} : nothing;
    case Do::Extract:
      return has_space(op.child) ? expect_extract(op) : nothing;
    default:
      return {};
  }
}

Expected Reference::expect_map(const Op& op) const {
  const bool is_too_much = op.object == kReadOnlyObject && op.sharing == Sharing::Shared &&
                           includes(op.max_protection, Protection::Write);
  if (is_too_much) return {ErrorKind::Protection};
  if (is_limited(op.space) && is_uncountable(mapped_by(op, op.first))) return {ErrorKind::Unsupported};
  if (has_any(op.space, op.first, op.count)) {
    if (op.overlap == uvm::Overlap::Refuse) return {ErrorKind::Busy};
    if (is_pinned(op.space, op.first, op.count)) return {ErrorKind::Pinned};
  }
  const bool is_wired = wires_future(op.space) && op.protection != Protection::None;
  // Pages are absent from a place on.
  if (is_wired && is_past_the_end(mapped_by(op, op.first + op.count - 1))) return {ErrorKind::EndOfObject};
  return {};
}

Expected Reference::expect_protect(const Op& op) const {
  if (has_hole(op)) return {ErrorKind::NoMapping};
  for (std::uint64_t page = op.first; page < op.first + op.count; ++page) {
    if (!includes(spaces_[op.space]->at(page).max_protection, op.protection)) return {ErrorKind::Protection};
  }
  if (!wires_future(op.space)) return {};
  if (has_lost(op.space, missing(op.space, pages_of(op), op.protection))) return {ErrorKind::EndOfObject};
  return {};
}

Expected Reference::expect_fault(const Op& op) const {
  const auto found = spaces_[op.space]->find(op.first);
  if (found == spaces_[op.space]->end()) return {ErrorKind::NoMapping};
  const Page& page = found->second;
  return {
      error(page, op.fault == uvm::FaultKind::WireMax ? page.max_protection : page.protection, op.access)};
}

Expected Reference::expect_debugger(const Op& op) const {
  const auto found = spaces_[op.space]->find(op.first);
  if (found == spaces_[op.space]->end()) return {ErrorKind::NoMapping};
  const Page& page = found->second;
  if (op.what == Do::Peek) return {error(page, page.max_protection, AccessKind::Read)};
  if (op.what == Do::Poke) {
    const bool is_kept_out = !page.has_layer() && op.shared_writes == uvm::SharedWrites::Refuse;
    if (is_kept_out) return {ErrorKind::Protection};
    return {error(page, page.max_protection, AccessKind::Write)};
  }
  // A page that is private elsewhere than in its place is left alone without a look at anything else.
  const bool has_no_below = page.object >= 0 && page.object_page >= object(page.object).size();
  if (has_no_below) return {std::nullopt, ErrorKind::EndOfObject};
  if (pins_of_page(op.space, op.first) != 0) return {std::nullopt, ErrorKind::Pinned};
  return {};
}

Expected Reference::expect_pin(const Op& op) const {
  if (has_hole(op)) return {ErrorKind::NoMapping};
  const auto access = op.pin_access == uvm::PinAccess::Write ? AccessKind::Write : AccessKind::Read;
  std::optional<ErrorKind> worst;
  for (std::uint64_t page = op.first; page < op.first + op.count; ++page) {
    const auto found = error(op.space, page, access);
    if (found && worst != ErrorKind::Protection) worst = found;
  }
  return {worst};
}

Expected Reference::expect_fork(const Op& op) const {
  Expected expected;
  for (const auto& [number, page] : *spaces_[op.space]) {
    const bool is_given = page.inherit == Inherit::Share || page.inherit == Inherit::Copy;
    for (const uvm::ForkPolicy policy : policies(op.space, number)) {
      if (!is_given) continue;
      if (policy != uvm::ForkPolicy::Copy) return {ErrorKind::Pinned};
      // Pages that lie where this space alone can use them cannot begin to be shared while they are pinned.
      if (page.inherit == Inherit::Share && page.has_layer()) expected.or_error = ErrorKind::Pinned;
    }
    const bool would_leak = page.inherit == Inherit::Copy && !page.has_layer() &&
                            includes(page.max_protection, Protection::Write);
    if (would_leak) expected.error = ErrorKind::Unsupported;
  }
  return expected;
}

Expected Reference::expect_extract(const Op& op) const {
  if (op.child == op.space || !includes(op.protection, Protection::Read)) return {ErrorKind::Invalid};
  if (has_hole(op)) return {ErrorKind::NoMapping};
  Expected expected;
  bool is_lost = false;
  bool is_uncounted = false;
  for (std::uint64_t number = op.first; number < op.first + op.count; ++number) {
    const Page& page = spaces_[op.space]->at(number);
    if (!includes(page.max_protection, op.protection)) return {ErrorKind::Protection};
    // Where another space could not use them; the model does not know which pages those are.
    if (page.has_layer() && pins_of_page(op.space, number) != 0) expected.or_error = ErrorKind::Pinned;
    is_lost |= is_past_the_end(page);
    is_uncounted |= is_uncountable(page);
  }
  if (has_any(op.child, op.to, op.count)) {
    expected.error = ErrorKind::Busy;
  } else if (is_limited(op.child) && is_uncounted) {
    expected.error = ErrorKind::Unsupported;
  } else if (wires_future(op.child) && is_lost) {
    expected.error = ErrorKind::EndOfObject;
  }
  return expected;
}

// ---- the space as a whole -------------------------------------------------------------------------------

bool Reference::is_uncountable(const Page& page) {
  return !page.has_layer() && includes(page.max_protection, Protection::Write);
}

Expected Reference::expect_limit(const Op& op) const {
  for (const auto& [number, page] : *spaces_[op.space]) {
    if (is_uncountable(page)) return {ErrorKind::Unsupported};
  }
  return {};
}

bool Reference::wires_future(std::size_t space) const {
  return wholes_[space] && wholes_[space]->scope != uvm::WireScope::Current;
}

std::vector<std::uint64_t> Reference::missing(std::size_t space, PageRange range,
                                              std::optional<Protection> rights) const {
  std::vector<std::uint64_t> pages;
  for (const auto& [number, page] : *spaces_[space]) {
    if (number < range.first || number >= range.end) continue;
    if (rights.value_or(page.protection) == Protection::None) continue;
    const auto& whole = wholes_[space];
    if (!whole || whole->pages.count(number) == 0) pages.push_back(number);
  }
  return pages;
}

bool Reference::has_lost(std::size_t space, const std::vector<std::uint64_t>& pages) const {
  return std::any_of(pages.begin(), pages.end(),
                     [&](std::uint64_t page) { return is_past_the_end(spaces_[space]->at(page)); });
}

Expected Reference::expect_wire_all(const Op& op) const {
  if (wholes_[op.space]) return {ErrorKind::Busy};
  if (op.scope != uvm::WireScope::Future && has_lost(op.space, missing(op.space, kAll)))
    return {ErrorKind::EndOfObject};
  return {};
}

void Reference::wire_all(const Op& op) {
  wholes_[op.space] = Whole{op.scope, op.policy, {}};
  if (op.scope != uvm::WireScope::Future) wire_whole(op.space, kAll);
}

void Reference::wire_whole(std::size_t space, PageRange range) {
  for (const std::uint64_t page : missing(space, range)) {
    static_cast<void>(wire(spaces_[space]->at(page)));
    wholes_[space]->pages.insert(page);
  }
}

void Reference::wire_future(std::size_t space, PageRange range) {
  if (wires_future(space)) wire_whole(space, range);
}

void Reference::prepare(std::size_t space, const std::vector<std::uint64_t>& pages) {
  for (const std::uint64_t number : pages) {
    Page& page = spaces_[space]->at(number);
    if (is_past_the_end(page)) return;
    static_cast<void>(wire(page));
  }
}

// ---- what it does ---------------------------------------------------------------------------------------

template <class F>
void Reference::each_page(const Op& op, F&& change) {
  for (std::uint64_t page = op.first; page < op.first + op.count; ++page) change(spaces_[op.space]->at(page));
}

void Reference::done(const Op& op) {
  switch (op.what) {
    case Do::Create:
      return static_cast<void>(spaces_[op.space].emplace());
    case Do::Destroy:
      return destroy(op.space);
    case Do::Map:
      return map(op);
    case Do::Unmap:
      for (std::uint64_t i = 0; i < op.count; ++i) spaces_[op.space]->erase(op.first + i);
      return;
    case Do::Protect:
      each_page(op, [&](Page& page) { page.protection = op.protection; });
      return wire_future(op.space, pages_of(op));
    case Do::Inherit:
      return each_page(op, [&](Page& page) { page.inherit = op.inherit; });
    case Do::Store:
    case Do::Write:
    case Do::Poke:
      (*target(spaces_[op.space]->at(op.first)))[op.word] = op.value;
      return;
    case Do::Fault: {
      Page& page = spaces_[op.space]->at(op.first);
      if (op.fault == uvm::FaultKind::WireMax) static_cast<void>(wire(page));
      const bool is_prepared =
          op.fault == uvm::FaultKind::Wire && includes(page.protection, Protection::Write);
      if (is_prepared && page.has_layer()) static_cast<void>(own(page));
      return;
    }
    case Do::Pin:
      return pin(op);
    case Do::Unpin:
      pins_[op.pin].reset();
      return;
    case Do::Dma: {
      const auto& frames = pins_[op.pin]->frames;
      (*frames[op.first % frames.size()])[op.word] = op.value;
      return;
    }
    case Do::Fork:
      return fork(op);
    case Do::Truncate:
      return truncate(op.object, op.count);
    case Do::Limit:
    case Do::WireAll:
    case Do::UnwireAll:
    case Do::Extract:
    case Do::Discard:
      return done_to_all(op);
    case Do::Advise:
    case Do::Load:
    case Do::Read:
    case Do::Execute:
    case Do::Peek:
    case Do::Reshare:
    case Do::Drop:
    case Do::Evict:
      return;
  }
}

void Reference::done_to_all(const Op& op) {
  if (op.what == Do::Limit) limited_[op.space] = true;
  if (op.what == Do::WireAll) wire_all(op);
  if (op.what == Do::UnwireAll) wholes_[op.space].reset();
  if (op.what == Do::Extract) extract(op);
  if (op.what == Do::Discard) discard(op);
}

void Reference::refused_at_the_end(const Op& op) {
  switch (op.what) {
    case Do::Map:  // what was there before is gone too
      for (std::uint64_t i = 0; i < op.count; ++i) spaces_[op.space]->erase(op.first + i);
      return;
    case Do::Protect:
      return prepare(op.space, missing(op.space, pages_of(op), op.protection));
    case Do::WireAll:
      return prepare(op.space, missing(op.space, kAll));
    case Do::Extract:  // both spaces showed the same pages for a moment
      return prepare(op.space, missing(op.space, pages_of(op), op.protection));
    default:
      return;
  }
}

void Reference::refused(const Op& op) {
  if (expect(op).error == ErrorKind::EndOfObject) refused_at_the_end(op);
  if (op.what != Do::Pin || has_hole(op)) return;
  // A pin that meets the end of an object has prepared the pages before it, and they stay prepared.
  const auto access = op.pin_access == uvm::PinAccess::Write ? AccessKind::Write : AccessKind::Read;
  for (std::uint64_t page = op.first; page < op.first + op.count; ++page) {
    if (error(op.space, page, access) == ErrorKind::Protection) return;
  }
  for (std::uint64_t page = op.first; !error(op.space, page, access); ++page) {
    static_cast<void>(wire(spaces_[op.space]->at(page)));
  }
}

Reference::Page Reference::mapped_by(const Op& op, std::uint64_t number) {
  Page page;
  page.protection = op.protection;
  page.max_protection = op.max_protection;
  page.sharing = op.sharing;
  page.inherit = op.inherit;
  page.object = op.object;
  page.object_page = op.object_page + (number - op.first);
  page.cell = std::make_shared<Cell>();
  return page;
}

void Reference::map(const Op& op) {
  for (std::uint64_t i = 0; i < op.count; ++i) {
    (*spaces_[op.space])[op.first + i] = mapped_by(op, op.first + i);
  }
  wire_future(op.space, pages_of(op));
}

void Reference::extract(const Op& op) {
  for (std::uint64_t i = 0; i < op.count; ++i) {
    Page page = spaces_[op.space]->at(op.first + i);
    page.protection = op.protection;
    page.inherit = Inherit::None;
    (*spaces_[op.child])[op.to + i] = page;
  }
  wire_future(op.child, {op.to, op.to + op.count});
}

void Reference::pin(const Op& op) {
  Pin pin;
  pin.space = op.space;
  pin.first = op.first;
  pin.access = op.pin_access;
  pin.policy = op.policy;
  each_page(op, [&](Page& page) { pin.frames.push_back(wire(page)); });
  pins_[op.pin] = std::move(pin);
}

std::optional<Reference::Page> Reference::inherited(const Page& page) {
  Page child = page;
  switch (page.inherit) {
    case Inherit::None:
      return std::nullopt;
    case Inherit::Share:
      return child;
    case Inherit::Copy:
      child.cell = std::make_shared<Cell>();
      if (page.cell->own) child.cell->own = std::make_shared<Words>(*page.cell->own);
      if (page.has_layer()) child.sharing = Sharing::Private;
      return child;
    case Inherit::Zero:
      child.cell = std::make_shared<Cell>();
      child.object = -1;
      child.sharing = Sharing::Private;
      return child;
  }
  return std::nullopt;
}

void Reference::fork(const Op& op) {
  Space child;
  for (const auto& [number, page] : *spaces_[op.space]) {
    if (auto given = inherited(page)) child.emplace(number, std::move(*given));
  }
  spaces_[op.child] = std::move(child);
}

void Reference::destroy(std::size_t space) {
  for (auto& pin : pins_) {
    if (pin && pin->space == space) pin.reset();
  }
  wholes_[space].reset();
  limited_[space] = false;
  spaces_[space].reset();
}

void Reference::truncate(int object, std::uint64_t pages) {
  auto& list = objects_[static_cast<std::size_t>(object)];
  while (list.size() > pages) list.pop_back();
  while (list.size() < pages) list.push_back(std::make_shared<Words>());
}

}  // namespace test::model

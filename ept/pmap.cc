#include "ept/pmap.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "uvm/unserved.h"

namespace ept {
namespace {

using uvm::ErrorKind;
using uvm::Fill;
using uvm::Protection;

Guard guard_for(Protection rights) {
  return uvm::includes(rights, Protection::Write) ? Guard::Open : Guard::ReadOnly;
}

/// How the window shows frames of a backing.
Shown shown_frames(const host::Backing& backing, std::uint64_t first_page, const uvm::Mapping& mapping) {
  const Show show = mapping.fill == Fill::CopyOnWrite ? Show::PrivateFile : Show::SharedFile;
  return shown_pages(backing, first_page, show, guard_for(mapping.rights));
}

uvm::Error refused(const uvm::Mapping& mapping, ErrorKind kind, const std::string& why) {
  return uvm::Error(kind, "entering guest range " + uvm::to_string(mapping.range) + ": " + why);
}

uvm::Error exhausted(uvm::GpaRange range, const char* operation) {
  return uvm::Error(
      ErrorKind::NoMemory,
      std::string(operation) + " guest range " + uvm::to_string(range) + ": no memory for its tables",
      "give the host more memory");
}

uvm::Status check_form(const uvm::Mapping& mapping) {
  if (!uvm::includes(mapping.rights, Protection::Read)) {
    return refused(mapping, ErrorKind::Invalid, "rights " + uvm::to_string(mapping.rights) + " without read");
  }
  const bool has_frames = mapping.fill != Fill::Zero && mapping.fill != Fill::Present;
  if (mapping.first.has_value() != has_frames) {
    return refused(mapping, ErrorKind::Invalid, "a frame goes with every fill but Zero and Present");
  }
  if (mapping.fill == Fill::CopyOnWrite && !uvm::includes(mapping.rights, Protection::Write)) {
    return refused(mapping, ErrorKind::Invalid, "copy-on-write without the right to write");
  }
  return uvm::ok();
}

}  // namespace

uvm::Result<std::unique_ptr<Pmap>> Pmap::create(const PmapConfig& config) {
  const uvm::GpaRange covered = config.covered;
  if (covered.empty() || !covered.is_page_aligned()) {
    return uvm::Error(ErrorKind::Invalid, "pmap of guest range " + uvm::to_string(covered),
                      "give whole pages, at least one");
  }
  if (covered.end().value() > kTableLimit) {
    return uvm::Error(ErrorKind::Invalid,
                      "pmap of guest range " + uvm::to_string(covered) +
                          ": four levels of tables end at guest address 2^48",
                      "give the guest less than 256 TiB");
  }
  UVMM_TRY(auto loader, Loader::create(covered, config.window, config.events == Events::WhenPossible));
  return std::unique_ptr<Pmap>(new Pmap(config, std::move(loader)));
}

Pmap::Pmap(const PmapConfig& config, Loader loader)
    : config_(config),
      loader_base_(loader.window().base()),
      private_(*this),
      own_pv_list_(config.pv_list == nullptr ? std::make_unique<PvList>() : nullptr),
      pv_list_(config.pv_list == nullptr ? own_pv_list_.get() : config.pv_list),
      events_reason_(loader.watch_reason()),
      stage_two_(config.stage_two),
      codec_(&private_),
      loader_(std::move(loader)) {
  if (loader_.uffd() != nullptr) {
    events_ = std::make_unique<EventSource>(*loader_.uffd(), loader_base_, config_.covered);
  }
}

Pmap::~Pmap() {
  pv_list_->remove_all(this);
}

void Pmap::set_stage_two(StageTwo* stage_two) {
  stage_two_ = stage_two;
}

void Pmap::wake(uvm::Gpa page) {
  uvm::MutexLock lock(mutex_);
  if (config_.covered.contains(page)) loader_.wake(uvm::GpaRange::page_of(page));
}

void Pmap::refuse(uvm::Gpa page) {
  uvm::MutexLock lock(mutex_);
  if (!config_.covered.contains(page)) return;
  forget_locked(uvm::GpaRange::page_of(page));
  loader_.refuse(page.page_down());
}

uvm::Status Pmap::check(uvm::GpaRange range) const {
  if (!range.empty() && range.is_page_aligned() && config_.covered.contains(range)) return uvm::ok();
  return uvm::Error(ErrorKind::Invalid, "guest range " + uvm::to_string(range) + " is not whole pages of " +
                                            uvm::to_string(config_.covered));
}

// ---- translations ---------------------------------------------------------------------------------------

uvm::Status Pmap::enter(const uvm::Mapping& mapping) noexcept try {
  UVMM_CHECK(check(mapping.range));
  UVMM_CHECK(check_form(mapping));
  uvm::MutexLock lock(mutex_);
  UVMM_TRY(const Leaf leaf, leaf_locked(mapping));
  uvm::Status entered;
  try {
    entered = enter_locked(mapping, leaf);
  } catch (const std::bad_alloc&) {
    entered = uvm::out_of_memory([&] { return exhausted(mapping.range, "entering"); });
  }
  // Half of it is none of it.
  if (!entered) forget_locked(mapping.range);
  return entered;
} catch (const std::bad_alloc&) {
  return uvm::out_of_memory([&] { return exhausted(mapping.range, "entering"); });
}

uvm::Result<Leaf> Pmap::leaf_locked(const uvm::Mapping& mapping) {
  Leaf leaf;
  leaf.fill = mapping.fill;
  leaf.rights = mapping.rights;
  if (mapping.first) {
    UVMM_TRY(leaf.frame, encode_locked(*mapping.first, mapping.range.pages()));
  }
  return leaf;
}

uvm::Status Pmap::enter_locked(const uvm::Mapping& mapping, const Leaf& leaf) {
  UVMM_CHECK(load_locked(mapping));
  table_.set(mapping.range, leaf);
  if (mapping.first && mapping.first->store != &private_) {
    pv_list_->enter(this, mapping.range.begin(), {*mapping.first, mapping.range.pages()});
  } else if (!pv_list_->remove(this, mapping.range)) {
    return exhausted(mapping.range, "entering");
  }
  return uvm::ok();
}

uvm::Status Pmap::load_locked(const uvm::Mapping& mapping) {
  if (mapping.fill == Fill::Zero) {
    return loader_.show(mapping.range, Shown{}.with(guard_for(mapping.rights)));
  }
  if (mapping.fill == Fill::Present) return load_present_locked(mapping.range, guard_for(mapping.rights));
  const uvm::Frame first = *mapping.first;
  if (first.store == &private_) {
    if (mapping.fill != Fill::Exact || first.index != mapping.range.begin().page()) {
      return refused(mapping, ErrorKind::Invalid, "a private page is usable at its own address only");
    }
    return loader_.show_private(mapping.range, guard_for(mapping.rights));
  }
  const auto* backing = dynamic_cast<const host::Backing*>(first.store);
  if (backing == nullptr) {
    return refused(mapping, ErrorKind::Unsupported,
                   "the pages of " + std::string(first.store->name()) + " cannot be mapped in this space");
  }
  if (mapping.fill == Fill::Exact && uvm::includes(mapping.rights, Protection::Write) &&
      !uvm::includes(backing->max_protection(), Protection::Write)) {
    return refused(mapping, ErrorKind::Protection, std::string(backing->name()) + " is never written");
  }
  return loader_.show(mapping.range, shown_frames(*backing, first.index, mapping));
}

uvm::Status Pmap::load_present_locked(uvm::GpaRange range, Guard guard) {
  if (guard == Guard::Open) return loader_.show_present(range);
  // What is there can be protected, what is not there need not be.
  UVMM_CHECK(loader_.prepare(range));
  loader_.arm(range);
  for (const uvm::GpaRange run : loader_.private_runs(range)) {
    UVMM_CHECK(loader_.show_private(run, guard));
  }
  return uvm::ok();
}

uvm::Result<std::uint64_t> Pmap::encode_locked(uvm::Frame first, std::uint64_t pages) {
  auto number = codec_.encode(first, pages);
  if (number || number.error().kind() != ErrorKind::NoMemory) return number;
  // Stores are registered at first use and never unregistered one by one; now is the time to find out which
  // of them the tables still name.
  std::vector<bool> in_use(FrameCodec::kStores);
  table_.for_each(config_.covered, [&](uvm::GpaRange, const Leaf& leaf) {
    if (!leaf.frame) return;
    if (const auto store = FrameCodec::store_of(*leaf.frame)) in_use[*store] = true;
  });
  codec_.collect(in_use);
  return codec_.encode(first, pages);
}

uvm::GpaRange Pmap::forget_tables_locked(uvm::GpaRange range) {
  if (table_.reserve() && loader_.reserve() && pv_list_->remove(this, range)) {
    table_.clear(range);
    return range;
  }
  // Losing more than was asked for is always right (property P0).
  table_.clear(config_.covered);
  pv_list_->remove_all(this);
  return config_.covered;
}

void Pmap::forget_locked(uvm::GpaRange range) {
  const uvm::GpaRange gone = forget_tables_locked(range);
  loader_.arm(gone);
}

void Pmap::remove(uvm::GpaRange range) noexcept {
  const uvm::GpaRange mine = range.intersection(config_.covered);
  if (mine.empty()) return;
  uvm::MutexLock lock(mutex_);
  forget_locked(mine);
}

void Pmap::discard(uvm::GpaRange range) noexcept {
  const uvm::GpaRange mine = range.intersection(config_.covered);
  if (mine.empty()) return;
  uvm::MutexLock lock(mutex_);
  discard_locked(mine);
}

void Pmap::discard_locked(uvm::GpaRange range) {
  if (const uvm::GpaRange gone = forget_tables_locked(range); gone != range) {
    loader_.arm(gone);
    loader_.free_private(range);
    return;
  }
  loader_.discard(range);
}

std::vector<std::pair<uvm::GpaRange, Fill>> Pmap::host_made_locked(uvm::GpaRange range) const {
  std::vector<std::pair<uvm::GpaRange, Fill>> found;
  table_.for_each(range, [&](uvm::GpaRange leaf_range, const Leaf& leaf) {
    if (leaf.fill == Fill::Exact) return;
    const uvm::GpaRange part = leaf_range.intersection(range);
    if (!found.empty() && found.back().second == leaf.fill && found.back().first.end() == part.begin()) {
      found.back().first = *uvm::GpaRange::from_bounds(found.back().first.begin(), part.end());
    } else {
      found.emplace_back(part, leaf.fill);
    }
  });
  return found;
}

void Pmap::free_private(uvm::GpaRange range) noexcept {
  uvm::GpaRange rest = range.intersection(config_.covered);
  if (rest.empty()) return;
  uvm::MutexLock lock(mutex_);
  const auto discard_before = [&](uvm::Gpa end) NO_THREAD_SAFETY_ANALYSIS {
    if (rest.begin() < end) discard_locked(rest.before(end));
    rest = rest.from(end);
  };
  try {
    // Elsewhere the window may show something else than is to be seen without the private pages.
    for (const auto& [part, fill] : host_made_locked(rest)) {
      discard_before(part.begin());
      const Show shows = fill == Fill::CopyOnWrite ? Show::PrivateFile : Show::Zero;
      while (rest.begin() < part.end()) {
        const uvm::GpaRange stays = loader_.empty(rest.before(part.end()), shows);
        if (!stays.empty()) discard_locked(stays);
        rest = rest.from(stays.empty() ? part.end() : stays.end());
      }
    }
  } catch (const std::bad_alloc&) {
    // Translations may go at any moment.
  }
  discard_before(range.intersection(config_.covered).end());
}

void Pmap::protect(uvm::GpaRange range, Protection most) noexcept {
  const uvm::GpaRange mine = range.intersection(config_.covered);
  if (mine.empty()) return;
  uvm::MutexLock lock(mutex_);
  if (!uvm::includes(most, Protection::Read) || !table_.reserve() || !loader_.reserve()) {
    forget_locked(mine);
    return;
  }
  table_.lower(mine, most);
  if (uvm::includes(most, Protection::Write)) return;
  for (uvm::GpaRange rest = mine; !rest.empty();) {
    const uvm::GpaRange gone = loader_.forbid_writes(rest);
    if (gone.empty()) return;
    forget_locked(gone);
    rest = rest.from(gone.end());
  }
}

void Pmap::update() noexcept {
  // Nothing to wait for: every call that takes a translation away returns after the kernel has told all
  // second-stage tables (MMU notifiers) and flushed all processors.
}

void Pmap::drop_all() noexcept {
  {
    uvm::MutexLock lock(mutex_);
    table_.clear(config_.covered);
    pv_list_->remove_all(this);
    loader_.drop_shared();
  }
  // Without the lock: it waits for vCPUs, and one of them may sleep on an event whose resolution needs it.
  if (stage_two_ != nullptr) stage_two_->zap(config_.covered);
}

// ---- private frames -------------------------------------------------------------------------------------

uvm::Result<uvm::Frame> Pmap::promote(const uvm::Promotion& promotion) noexcept try {
  UVMM_CHECK(check(uvm::GpaRange::page_of(promotion.page)));
  return promotion.placement == uvm::Placement::InPlace ? promote_in_place(promotion)
                                                        : promote_shareable(promotion);
} catch (const std::bad_alloc&) {
  return uvm::out_of_memory([&] { return exhausted(uvm::GpaRange::page_of(promotion.page), "promoting"); });
}

bool Pmap::host_can_promote_locked(const uvm::Promotion& promotion) const {
  const Shown shown = loader_.shown_at(promotion.page);
  if (shown.guard != Guard::Open || !promotion.content.empty()) return false;
  if (shown.show == Show::Zero) return !promotion.source;
  return shown.show == Show::PrivateFile && promotion.source && promotion.source->store == shown.backing &&
         promotion.source->index == shown.first_page;
}

uvm::Result<uvm::Frame> Pmap::promote_in_place(const uvm::Promotion& promotion) {
  const uvm::Frame frame = private_frame(promotion.page);
  {
    uvm::MutexLock lock(mutex_);
    if (loader_.is_private(promotion.page)) return frame;
    if (host_can_promote_locked(promotion)) {
      if (auto status = loader_.populate(promotion.page); !status) {
        if (status.error().kind() == ErrorKind::PagerIo) return untouchable_locked(promotion.page);
        return std::move(status).error();
      }
      return frame;
    }
    forget_locked(uvm::GpaRange::page_of(promotion.page));
  }
  // The source may be a page of another space: its lock must not be taken inside ours.
  std::array<std::byte, uvm::kPageSize> bytes;
  UVMM_CHECK(read_content(promotion, bytes));
  uvm::MutexLock lock(mutex_);
  if (loader_.is_private(promotion.page)) return frame;  // by a write that was under way above
  forget_locked(uvm::GpaRange::page_of(promotion.page));
  UVMM_CHECK(loader_.stash_page(promotion.page, bytes));
  return frame;
}

uvm::Result<uvm::Frame> Pmap::promote_shareable(const uvm::Promotion& promotion) {
  UVMM_TRY(host::Arena* const arena, host::Arena::of_process());
  UVMM_TRY(const uvm::Frame frame, arena->allocate());
  const uvm::Frame mine = private_frame(promotion.page);
  const uvm::GpaRange page = uvm::GpaRange::page_of(promotion.page);
  std::array<std::byte, uvm::kPageSize> bytes;
  const auto fill = [&]() -> uvm::Status {
    bool moves = false;
    {
      uvm::MutexLock lock(mutex_);
      forget_locked(page);
      moves = loader_.is_private(promotion.page) && promotion.source != mine;
    }
    UVMM_CHECK(moves ? read_source(mine, bytes) : read_content(promotion, bytes));
    UVMM_CHECK(arena->write_page(frame.index, bytes));
    if (moves) {
      // The host made the page; nobody knows the frame it had.
      uvm::MutexLock lock(mutex_);
      loader_.free_private(page);
    }
    return uvm::ok();
  };
  uvm::Status filled;
  try {
    filled = fill();
  } catch (const std::bad_alloc&) {
    filled = uvm::out_of_memory([&] { return exhausted(page, "promoting"); });
  }
  if (filled) return frame;
  arena->free(frame);
  return std::move(filled).error();
}

uvm::Status Pmap::read_content(const uvm::Promotion& promotion, std::span<std::byte> to) const {
  if (promotion.content.empty()) return read_source(promotion.source, to);
  std::copy_n(promotion.content.begin(), std::min(promotion.content.size(), to.size()), to.begin());
  return uvm::ok();
}

uvm::Status Pmap::read_source(std::optional<uvm::Frame> source, std::span<std::byte> to) const {
  if (!source) {
    std::fill(to.begin(), to.end(), std::byte{0});
    return uvm::ok();
  }
  uvm::Status status = uvm::ok();
  if (const auto* space = dynamic_cast<const PrivateStore*>(source->store)) {
    status = space->owner().read_private(uvm::Gpa(source->index << uvm::kPageShift), to);
  } else if (const auto* backing = dynamic_cast<const host::Backing*>(source->store)) {
    status = backing->read_page(source->index, to);
  } else {
    return uvm::Error(ErrorKind::Unsupported,
                      "pages of " + std::string(source->store->name()) + " cannot be read here");
  }
  if (status) return status;
  return uvm::Error(ErrorKind::PagerIo, "the page is gone: " + status.error().text());
}

uvm::Status Pmap::fill(uvm::GpaRange range, std::span<const std::byte> bytes) {
  UVMM_CHECK(check(range));
  if (!bytes.empty() && bytes.size() != range.size()) {
    return uvm::Error(ErrorKind::Invalid, "filling guest range " + uvm::to_string(range) + " with " +
                                              std::to_string(bytes.size()) + " bytes");
  }
  uvm::MutexLock lock(mutex_);
  if (bytes.empty() && loader_.shown_at(range.begin()).makes_zeros()) return loader_.populate_zeros(range);
  uvm::Status filled;
  try {
    filled = fill_locked(range, bytes);
  } catch (const std::bad_alloc&) {
    filled = uvm::out_of_memory([&] { return exhausted(range, "filling"); });
  }
  if (!filled) loader_.free_private(range);
  return filled;
}

uvm::Status Pmap::fill_locked(uvm::GpaRange range, std::span<const std::byte> bytes) {
  std::vector<std::pair<uvm::GpaRange, Guard>> in_view;
  table_.for_each(range, [&](uvm::GpaRange leaf_range, const Leaf& leaf) {
    const uvm::GpaRange part = leaf_range.intersection(range);
    if (leaf.fill == Fill::Present && !part.empty()) in_view.emplace_back(part, guard_for(leaf.rights));
  });
  const auto bytes_of = [&](uvm::GpaRange part) {
    return bytes.empty() ? bytes : bytes.subspan(part.begin() - range.begin(), part.size());
  };
  uvm::GpaRange rest = range;
  for (const auto& [part, guard] : in_view) {
    UVMM_CHECK(stash_locked(rest.before(part.begin()), bytes_of(rest.before(part.begin()))));
    if (guard == Guard::Open) {
      UVMM_CHECK(loader_.fill_present(part, bytes_of(part)));
    } else {
      UVMM_CHECK(stash_locked(part, bytes_of(part)));
      UVMM_CHECK(loader_.show_private(part, guard));
    }
    rest = rest.from(part.end());
  }
  return stash_locked(rest, bytes_of(rest));
}

uvm::Status Pmap::stash_locked(uvm::GpaRange range, std::span<const std::byte> bytes) {
  static constexpr std::array<std::byte, uvm::kPageSize> kZeroPage{};
  for (std::uint64_t done = 0; done < range.size(); done += uvm::kPageSize) {
    const std::span<const std::byte> page =
        bytes.empty() ? std::span<const std::byte>(kZeroPage) : bytes.subspan(done, uvm::kPageSize);
    UVMM_CHECK(loader_.stash_page(range.begin() + done, page));
  }
  return uvm::ok();
}

uvm::Status Pmap::read(uvm::Frame first, std::span<std::byte> to) const {
  if (const auto* space = dynamic_cast<const PrivateStore*>(first.store)) {
    const uvm::Gpa begin(first.index << uvm::kPageShift);
    const Pmap& owner = space->owner();
    uvm::MutexLock lock(owner.mutex_);
    return owner.loader_.read_private(begin, to);
  }
  for (std::size_t done = 0; done < to.size(); done += uvm::kPageSize) {
    const uvm::Frame frame = first + (done >> uvm::kPageShift);
    UVMM_CHECK(read_source(frame, to.subspan(done, uvm::kPageSize)));
  }
  return uvm::ok();
}

uvm::Status Pmap::read_private(uvm::Gpa page, std::span<std::byte> to) const {
  UVMM_CHECK(check(uvm::GpaRange::page_of(page)));
  uvm::MutexLock lock(mutex_);
  return loader_.read_private(page, to);
}

void Pmap::release(uvm::Frame frame) noexcept {
  if (auto* arena = dynamic_cast<host::Arena*>(frame.store)) {
    arena->free(frame);
    return;
  }
  if (frame.store != &private_) return;
  const uvm::GpaRange page = uvm::GpaRange::page_of(uvm::Gpa(frame.index << uvm::kPageShift));
  if (!check(page)) return;
  uvm::MutexLock lock(mutex_);
  const auto hit = table_.lookup(page.begin());
  const bool is_entered =
      hit && hit->leaf.fill == Fill::Exact && hit->leaf.frame && codec_.decode(*hit->leaf.frame) == frame;
  // Behind a settled page is no page of the file that could come into view.
  if (is_entered || loader_.shown_at(page.begin()).settled) forget_locked(page);
  loader_.free_private(page);
}

// ---- looking --------------------------------------------------------------------------------------------

std::optional<uvm::Translation> Pmap::extract(uvm::Gpa address) const {
  uvm::MutexLock lock(mutex_);
  const auto hit = table_.lookup(address);
  if (!hit) return std::nullopt;
  uvm::Translation translation;
  translation.fill = hit->leaf.fill;
  translation.rights = hit->leaf.rights;
  translation.leaf_size = hit->size;
  if (hit->leaf.frame) translation.frame = codec_.decode(*hit->leaf.frame);
  // A page the host promoted is in view without the tables knowing.
  const Shown shown = loader_.shown_at(address.page_down());
  if (shown.show != Show::SharedFile && loader_.is_private(address.page_down())) {
    translation.frame = private_frame(address);
  } else if (hit->leaf.fill == Fill::Present) {
    return std::nullopt;
  }
  return translation;
}

uvm::GpaRange Pmap::unserved(uvm::Gpa page, uvm::GpaRange run, Protection rights) const {
  uvm::MutexLock lock(mutex_);
  // Clang does not carry the held lock into the closure.
  return uvm::unserved_around(page, loader_.apart_from_deferred(page.page_down(), run),
                              [&](uvm::Gpa at) NO_THREAD_SAFETY_ANALYSIS {
                                const auto hit = table_.lookup(at);
                                return hit && uvm::includes(hit->leaf.rights, rights);
                              });
}

uvm::Residency Pmap::residency(uvm::GpaRange range) const {
  const uvm::GpaRange mine = range.intersection(config_.covered);
  if (mine.empty()) return {};
  uvm::MutexLock lock(mutex_);
  return loader_.residency(mine);
}

void Pmap::each_object_run(uvm::GpaRange range, const std::function<void(uvm::GpaRange)>& found) const {
  const uvm::GpaRange mine = range.intersection(config_.covered);
  if (mine.empty()) return;
  uvm::MutexLock lock(mutex_);
  loader_.each_object_run(mine, found);
}

uvm::Result<std::uint64_t> Pmap::resident(const FoundObjectPages& found) const {
  uvm::MutexLock lock(mutex_);
  return loader_.resident(found);
}

std::uint64_t Pmap::metadata_bytes() const {
  uvm::MutexLock lock(mutex_);
  const std::uint64_t reverse = own_pv_list_ == nullptr ? 0 : own_pv_list_->bytes();
  return table_.bytes() + codec_.bytes() + loader_.bytes() + reverse;
}

std::uint64_t Pmap::run_count() const {
  uvm::MutexLock lock(mutex_);
  return loader_.run_count();
}

}  // namespace ept

#include "tests/support/sim_mmu.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <iterator>

namespace test {
namespace {

using uvm::AccessKind;
using uvm::Fill;
using uvm::Frame;
using uvm::Gpa;
using uvm::GpaRange;
using uvm::kPageShift;
using uvm::kPageSize;
using uvm::MutexLock;
using uvm::Protection;

GpaRange pages_range(std::uint64_t first, std::uint64_t end) {
  return *GpaRange::from_bounds(Gpa(first << kPageShift), Gpa(end << kPageShift));
}

/// Whether the call whose budget this is has to fail now.
bool is_exhausted(std::atomic<std::uint64_t>& budget) {
  const std::uint64_t left = budget;
  if (left == 0) return false;
  if (left == 1) return true;
  budget = left - 1;
  return false;
}

/// Empty: zeros. Word by word, because pinned pages are copied while devices and vCPUs write to them.
void copy_page(std::span<std::byte> to, std::span<const std::byte> from) {
  for (std::size_t at = 0; at < to.size(); at += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    if (!from.empty()) {
      auto* const source = reinterpret_cast<std::uint64_t*>(const_cast<std::byte*>(from.data()) + at);
      word = std::atomic_ref(*source).load(std::memory_order_relaxed);
    }
    std::atomic_ref(*reinterpret_cast<std::uint64_t*>(to.data() + at)).store(word, std::memory_order_relaxed);
  }
}

std::span<const std::byte> content_of(const uvm::Promotion& promotion) {
  return promotion.source ? bytes_of(*promotion.source) : promotion.content;
}

}  // namespace

SimMmu::SimMmu(std::uint64_t bytes, SimArena* arena)
    : window_("window", bytes >> kPageShift), arena_(arena) {}

SimMmu::~SimMmu() {
  EXPECT_EQ(private_pages(), 0U) << "private pages that were never discarded or released";
  uvm::forget_lock(&cpus_lock_);
}

SimMmu::Segments::const_iterator SimMmu::at(std::uint64_t page) const {
  auto found = segments_.upper_bound(page);
  if (found == segments_.begin()) return segments_.end();
  --found;
  return page < found->second.end ? found : segments_.end();
}

void SimMmu::cut(std::uint64_t page) {
  const auto found = segments_.upper_bound(page);
  if (found == segments_.begin()) return;
  const auto low = std::prev(found);
  if (low->first == page || low->second.end <= page) return;
  Segment high = low->second;
  if (high.first) high.first = *high.first + (page - low->first);
  low->second.end = page;
  segments_.emplace(page, high);
}

void SimMmu::erase(GpaRange range) {
  cut(range.begin().page());
  cut(range.end().page());
  segments_.erase(segments_.lower_bound(range.begin().page()), segments_.lower_bound(range.end().page()));
}

uvm::Status SimMmu::enter(const uvm::Mapping& mapping) {
  EXPECT_TRUE(mapping.range.is_page_aligned() && !mapping.range.empty());
  EXPECT_EQ(mapping.first.has_value(), mapping.fill == Fill::Exact || mapping.fill == Fill::CopyOnWrite);
  EXPECT_TRUE(includes(mapping.rights, Protection::Read)) << "rights " << to_string(mapping.rights);
  EXPECT_TRUE(mapping.fill != Fill::CopyOnWrite || includes(mapping.rights, Protection::Write));
  if (mapping.first) {
    const auto* store = static_cast<const SimStore*>(mapping.first->store);
    EXPECT_LE(mapping.first->index + mapping.range.pages(), store->pages());
    if (store == &window_) {
      EXPECT_EQ(mapping.first->index, mapping.range.begin().page()) << "a private page, not in its place";
      EXPECT_EQ(mapping.fill, Fill::Exact);
    }
    if (store == arena_ && arena_ != nullptr) {
      EXPECT_TRUE(arena_->is_live(mapping.first->index));
    }
    EXPECT_TRUE(store->is_writable() || mapping.fill != Fill::Exact ||
                !includes(mapping.rights, Protection::Write))
        << store->name() << " entered for writing at " << uvm::to_string(mapping.range);
  }
  ++enters_;
  if (is_exhausted(enter_budget_)) return uvm::Error(uvm::ErrorKind::NoMemory, "injected: enter");
  {
    const MutexLock lock(lock_);
    erase(mapping.range);
    segments_.emplace(mapping.range.begin().page(),
                      Segment{mapping.range.end().page(), mapping.first, mapping.fill, mapping.rights});
  }
  // A translation that changes is gone from the TLBs before enter() returns, as after a host's remapping.
  flush(std::nullopt);
  return uvm::ok();
}

void SimMmu::remove(GpaRange range) {
  const MutexLock lock(lock_);
  erase(range);
}

void SimMmu::discard(GpaRange range) {
  std::vector<std::uint64_t> freed;
  {
    const MutexLock lock(lock_);
    erase(range);
    freed.assign(private_.lower_bound(range.begin().page()), private_.lower_bound(range.end().page()));
  }
  // Only what is freed here is flushed here; the rest of the range is update()'s.
  for (const std::uint64_t page : freed) flush(page);
  const MutexLock lock(lock_);
  for (const std::uint64_t page : freed) {
    std::memset(window_.page(page).data(), 0xdd, kPageSize);
    private_.erase(page);
  }
}

void SimMmu::free_private(GpaRange range) {
  std::vector<std::uint64_t> freed;
  {
    const MutexLock lock(lock_);
    const auto end = range.end().page();
    // What a host is making private just now is made, and then freed.
    while (std::any_of(moving_.begin(), moving_.end(),
                       [&](std::uint64_t page) { return range.contains(Gpa(page << kPageShift)); })) {
      moved_.wait(lock_);
    }
    freed.assign(private_.lower_bound(range.begin().page()), private_.lower_bound(end));
    for (const std::uint64_t page : freed) {
      const auto found = at(page);
      const bool is_named =
          found != segments_.end() && found->second.first && found->second.first->store == &window_;
      if (is_named) erase(pages_range(page, page + 1));
      moving_.insert(page);  // nobody finds it any more, nor what comes after it yet
    }
  }
  for (const std::uint64_t page : freed) flush(page);
  const MutexLock lock(lock_);
  for (const std::uint64_t page : freed) {
    std::memset(window_.page(page).data(), 0xdd, kPageSize);
    private_.erase(page);
    moving_.erase(page);
  }
  moved_.notify_all();
}

void SimMmu::protect(GpaRange range, Protection most) {
  const MutexLock lock(lock_);
  if (!includes(most, Protection::Read)) return erase(range);
  cut(range.begin().page());
  cut(range.end().page());
  for (auto segment = segments_.lower_bound(range.begin().page());
       segment != segments_.end() && segment->first < range.end().page(); ++segment) {
    segment->second.rights = segment->second.rights & most;
  }
}

void SimMmu::make_private(std::uint64_t page, std::span<const std::byte> bytes) {
  {
    const MutexLock lock(lock_);
    while (moving_.count(page) != 0) moved_.wait(lock_);
    if (private_.count(page) != 0) return;
    moving_.insert(page);
  }
  flush(page);
  copy_page(window_.page(page), bytes);
  const MutexLock lock(lock_);
  moving_.erase(page);
  private_.insert(page);
  moved_.notify_all();
}

uvm::Result<Frame> SimMmu::promote(const uvm::Promotion& promotion) {
  EXPECT_TRUE(promotion.page.is_page_aligned());
  ++promotions_;
  if (is_exhausted(promote_budget_)) return uvm::Error(uvm::ErrorKind::NoMemory, "injected: promote");
  const std::uint64_t page = promotion.page.page();
  if (promotion.placement == uvm::Placement::InPlace) {
    bool stays = false;
    {
      const MutexLock lock(lock_);
      const auto found = at(page);
      stays = found != segments_.end() && found->second.fill != Fill::Exact;
      if (!stays) erase(pages_range(page, page + 1));
    }
    make_private(page, content_of(promotion));
    return window_.frame(page);
  }
  if (arena_ == nullptr) return uvm::Error(uvm::ErrorKind::Unsupported, "no arena");
  {
    const MutexLock lock(lock_);
    erase(pages_range(page, page + 1));
  }
  flush(page);
  const std::uint64_t index = arena_->allocate();
  if (index == arena_->pages()) return uvm::Error(uvm::ErrorKind::NoMemory, "arena full");
  copy_page(arena_->page(index), content_of(promotion));
  return arena_->frame(index);
}

void SimMmu::release(Frame frame) {
  const auto bytes = bytes_of(frame);
  {
    const std::lock_guard lock(cpus_lock_);
    for (SimCpu* cpu : cpus_) {
      EXPECT_FALSE(cpu->holds(bytes.data())) << "a frame was released that a vCPU can still use";
    }
  }
  if (frame.store == arena_ && arena_ != nullptr) {
    arena_->free(frame.index);
    return;
  }
  ASSERT_EQ(frame.store, &window_) << "a frame of " << frame.store->name() << " is not ours to release";
  const MutexLock lock(lock_);
  EXPECT_EQ(private_.erase(frame.index), 1U) << "window page " << frame.index << " released twice";
  std::memset(bytes.data(), 0xdd, kPageSize);
}

void SimMmu::harvest(GpaRange range, const std::function<void(GpaRange, Frame)>& found) {
  std::vector<GpaRange> runs;
  {
    const MutexLock lock(lock_);
    const std::uint64_t end = range.end().page();
    for (auto page = private_.lower_bound(range.begin().page()); page != private_.end() && *page < end;) {
      const std::uint64_t first = *page;
      std::uint64_t next = first;
      while (page != private_.end() && *page == next && next < end) {
        ++next;
        ++page;
      }
      runs.push_back(pages_range(first, next));
    }
  }
  for (const GpaRange& run : runs) found(run, window_.frame(run.begin().page()));
}

std::optional<Frame> SimMmu::harvest_page(Gpa page) {
  const MutexLock lock(lock_);
  if (private_.count(page.page()) == 0) return std::nullopt;
  return window_.frame(page.page());
}

std::optional<uvm::Translation> SimMmu::extract(Gpa address) const {
  const MutexLock lock(lock_);
  const std::uint64_t page = address.page();
  const auto found = at(page);
  if (found == segments_.end()) return std::nullopt;
  const Segment& segment = found->second;
  if (segment.fill == Fill::Present && private_.count(page) == 0) return std::nullopt;
  uvm::Translation translation{std::nullopt, segment.fill, segment.rights, kPageSize};
  if (segment.first) translation.frame = *segment.first + (page - found->first);
  if (segment.fill != Fill::Exact && private_.count(page) != 0) {
    translation.frame = Frame{const_cast<SimStore*>(&window_), page};
  }
  return translation;
}

SimMmu::Walk SimMmu::walk(std::uint64_t page, AccessKind access) {
  const MutexLock lock(lock_);
  const auto found = at(page);
  if (found == segments_.end() || !includes(found->second.rights, needed(access))) return {};
  const Segment& segment = found->second;
  if (moving_.count(page) != 0) return {Outcome::HostWork, nullptr, Protection::None};
  if (segment.fill == Fill::Exact) {
    return {Outcome::Found, bytes_of(*segment.first + (page - found->first)).data(), segment.rights};
  }
  if (private_.count(page) != 0) return {Outcome::Found, window_.page(page).data(), segment.rights};
  if (segment.fill == Fill::Present) return {};
  if (segment.fill == Fill::Zero || access == AccessKind::Write) {
    return {Outcome::HostWork, nullptr, Protection::None};
  }
  return {Outcome::Found, bytes_of(*segment.first + (page - found->first)).data(),
          without(segment.rights, Protection::Write)};
}

void SimMmu::host_work(std::uint64_t page) {
  std::optional<Frame> source;
  {
    const MutexLock lock(lock_);
    while (moving_.count(page) != 0) moved_.wait(lock_);
    const auto found = at(page);
    if (found == segments_.end() || found->second.fill == Fill::Exact) return;
    if (found->second.fill == Fill::Present) return;
    if (found->second.first) source = *found->second.first + (page - found->first);
  }
  ++host_copies_;
  make_private(page, source ? bytes_of(*source) : std::span<const std::byte>());
}

uvm::Status SimMmu::fill(GpaRange range, std::span<const std::byte> bytes) {
  EXPECT_TRUE(range.is_page_aligned() && !range.empty());
  const auto found = extract(range.begin());
  if (bytes.empty() && found && found->fill == Fill::Zero && includes(found->rights, Protection::Write)) {
    for (std::uint64_t page = range.begin().page(); page < range.end().page(); ++page) {
      const auto shown = extract(Gpa(page << kPageShift));
      if (!shown || shown->fill != Fill::Zero || !includes(shown->rights, Protection::Write)) continue;
      if (shown->frame) continue;  // private
      if (is_exhausted(promote_budget_)) return uvm::Error(uvm::ErrorKind::NoMemory, "injected: fill");
      host_work(page);
    }
    return uvm::ok();
  }
  EXPECT_TRUE(bytes.empty() || bytes.size() == range.size());
  if (is_exhausted(fill_budget_)) return uvm::Error(uvm::ErrorKind::NoMemory, "injected: fill");
  for (std::uint64_t page = range.begin().page(); page < range.end().page(); ++page) {
    const std::uint64_t done = (page - range.begin().page()) << kPageShift;
    copy_page(window_.page(page), bytes.empty() ? bytes : bytes.subspan(done, kPageSize));
    const MutexLock lock(lock_);
    EXPECT_TRUE(private_.insert(page).second) << "page " << page << " filled, which was private already";
  }
  return uvm::ok();
}

uvm::Status SimMmu::read(Frame first, std::span<std::byte> to) const {
  EXPECT_EQ(to.size() % kPageSize, 0U);
  const MutexLock lock(lock_);
  for (std::uint64_t i = 0; i << kPageShift < to.size(); ++i) {
    const Frame frame = first + i;
    const bool live = frame.store == arena_ && arena_ != nullptr
                          ? arena_->is_live(frame.index)
                          : frame.store == &window_ && private_.count(frame.index) != 0;
    if (!live) return uvm::Error(uvm::ErrorKind::NoMapping, "no longer private");
    copy_page(to.subspan(i << kPageShift, kPageSize), bytes_of(frame));
  }
  return uvm::ok();
}

std::span<std::byte> SimMmu::bytes(GpaRange range) {
  std::byte* first = nullptr;
  const GpaRange cover = *range.page_cover();
  for (std::uint64_t page = cover.begin().page(); page < cover.end().page(); ++page) {
    Walk found = walk(page, AccessKind::Write);
    if (found.outcome == Outcome::Event) found = walk(page, AccessKind::Read);
    if (found.outcome == Outcome::HostWork) {
      host_work(page);
      found = walk(page, AccessKind::Read);
    }
    if (found.outcome != Outcome::Found) return {};
    const std::uint64_t done = (page - cover.begin().page()) << kPageShift;
    if (first == nullptr) first = found.bytes;
    if (found.bytes != first + done) return {};
  }
  return {first + range.begin().offset_in_page(), range.size()};
}

void SimMmu::update() {
  if (before_update_) before_update_();
  flush(std::nullopt);
}

void SimMmu::drop_all() {
  {
    const MutexLock lock(lock_);
    segments_.clear();
  }
  flush(std::nullopt);
}

uvm::Residency SimMmu::residency(GpaRange range) const {
  const MutexLock lock(lock_);
  uvm::Residency measured;
  for (std::uint64_t page = range.begin().page(); page < range.end().page(); ++page) {
    const auto found = at(page);
    if (private_.count(page) != 0) {
      measured.priv += kPageSize;
    } else if (found != segments_.end() && found->second.first) {
      measured.shared += kPageSize;
    }
  }
  measured.resident = measured.priv + measured.shared;
  return measured;
}

void SimMmu::each_object_run(GpaRange range, const std::function<void(GpaRange)>& found) const {
  for (std::uint64_t page = range.begin().page(); page < range.end().page(); ++page) {
    const MutexLock lock(lock_);
    const auto there = at(page);
    if (there == segments_.end() || !there->second.first || private_.count(page) != 0) continue;
    const uvm::FrameStore* const store = there->second.first->store;
    if (store != arena_ && store != &window_) found(GpaRange::page_of(uvm::Gpa(page << uvm::kPageShift)));
  }
}

std::uint64_t SimMmu::metadata_bytes() const {
  const MutexLock lock(lock_);
  return segments_.size() * sizeof(Segments::value_type);
}

std::size_t SimMmu::ranges() const {
  const MutexLock lock(lock_);
  return segments_.size();
}

std::size_t SimMmu::private_pages() const {
  const MutexLock lock(lock_);
  return private_.size();
}

void SimMmu::flush(std::optional<std::uint64_t> page) {
  const std::lock_guard lock(cpus_lock_);
  for (SimCpu* cpu : cpus_) cpu->flush(page);
  // Whoever looked before has copied; whoever looks from now on finds what is there.
  const MutexLock copied(copying_);
}

void SimMmu::add(SimCpu* cpu) {
  const std::lock_guard lock(cpus_lock_);
  cpus_.push_back(cpu);
}

void SimMmu::forget(SimCpu* cpu) {
  const std::lock_guard lock(cpus_lock_);
  cpus_.erase(std::remove(cpus_.begin(), cpus_.end(), cpu), cpus_.end());
}

}  // namespace test

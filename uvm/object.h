// Memory objects: what a mapping maps.
//
// An Object is a pager plus the knowledge of who maps it. There is no structure a page: the frames are the
// pager's, the translations are the pmap's, and "who maps page N" is arithmetic over the reverse map, so an
// object of a terabyte that nobody touched costs as much as one of a page (rule D4).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "uvm/base/error.h"
#include "uvm/base/lock.h"
#include "uvm/base/range.h"
#include "uvm/frame.h"
#include "uvm/pager.h"
#include "uvm/pmap.h"
#include "uvm/protection.h"
#include "uvm/reverse_map.h"

namespace uvm {

/// A pager's answer and the object's generation when it was asked.
struct ObjectFrames {
  FrameRun run;
  std::uint64_t available = 0;  // pages: what was asked for, as far as the object reaches
  std::uint64_t generation = 0;
};

enum class Freshness : std::uint8_t { Current, Stale };

/// Shared by everybody who maps it and by whoever made it; goes with the last of them. Thread-safe.
class Object {
 public:
  /// `pager` must not be null.
  [[nodiscard]] static std::shared_ptr<Object> create(std::shared_ptr<Pager> pager);

  explicit Object(std::shared_ptr<Pager> pager) : pager_(std::move(pager)) {}
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  [[nodiscard]] std::string_view name() const { return pager_->name(); }
  [[nodiscard]] ObjectIdentity identity() const { return pager_->identity(); }
  /// Bytes, as the pager says now.
  [[nodiscard]] std::uint64_t size() const { return pager_->size(); }
  [[nodiscard]] Protection max_protection() const { return pager_->max_protection(); }
  [[nodiscard]] Tenure tenure() const { return pager_->tenure(); }
  [[nodiscard]] bool answers_at_once() const { return pager_->answers_at_once(); }

  /// Frames for at most `request.pages` pages from `request.offset`: the pager's answer, never longer than
  /// asked or than the object. May sleep; call it without locks, unless it answers at once. Errors: those of
  /// Pager::get, and PagerIo for an answer that breaks the contract.
  [[nodiscard]] Result<ObjectFrames> get(const PagerRequest& request);
  /// Enters a mapping of frames that get() gave, unless invalidate() was called since. Errors: Pmap::enter's.
  [[nodiscard]] Result<Freshness> enter(Pmap& pmap, const Mapping& mapping, std::uint64_t generation);

  /// The pages of `range` changed place or went away (truncation, a file replaced by what it was read into):
  /// takes their translations out of every space that maps them, and returns when no vCPU can use them. What
  /// get() answered before and was not entered yet is discarded too. Private copies of the pages stay, and so
  /// do the pages that pins hold, out of everybody's sight. Call it without locks, after the pager was
  /// changed.
  void invalidate(ObjectRange range);
  /// Invalidates what the pager has no longer, so that the next access to it is a fault. Errors: the pager's
  /// for the first such page.
  [[nodiscard]] Status drop_lost();

  /// Makes the pages of `range`, which one mapping of the caller's shows, zeros that cost nothing. Returns
  /// how many they are: none when others map some of them, or the pager does not do it; none behind the end.
  /// No pin holds one.
  [[nodiscard]] std::uint64_t discard(ObjectRange range);
  /// Whether a page of `range`, which a mapping of the caller's shows, is mapped at another place too.
  [[nodiscard]] bool is_shared_in(ObjectRange range) const;

  /// For pins: has the pager keep all pages of a run that get() gave, unless invalidate() was called since or
  /// one of them is gone already; ends that. For listings: how many such holds there are.
  [[nodiscard]] Freshness hold(FrameRun run, std::uint64_t generation);
  void let_go(FrameRun run);
  [[nodiscard]] std::uint64_t holds() const;

  /// For maps: a use begins and ends, becomes two and one again (ReverseMap). For listings: the number of
  /// mappings.
  void add_use(const Use& use);
  void remove_use(const Use& use);
  void split_use(const Use& use, Gpa at);
  void join_uses(const Use& low, const Use& high);
  [[nodiscard]] std::size_t uses() const;

 private:
  /// As many pmaps as one round of invalidate() takes the translations out of.
  static constexpr std::size_t kRound = 16;
  std::size_t remove_translations(ObjectRange range, std::array<Pmap*, kRound>& from);

  const std::shared_ptr<Pager> pager_;
  mutable Mutex lock_{LockRank::Object};
  ReverseMap uses_ GUARDED_BY(lock_);
  std::uint64_t generation_ GUARDED_BY(lock_) = 0;
  std::uint64_t holds_ GUARDED_BY(lock_) = 0;
};

}  // namespace uvm

// Reverse maps: which spaces map a frame, and where.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "uvm/base/lock.h"
#include "uvm/base/range.h"
#include "uvm/frame.h"

namespace ept {

/// Kept by runs: a mapping of a whole entry is one record. Frames of a space's own window are not listed;
/// they are mapped at their own index or not at all. Thread-safe; may be shared by several pmaps.
class PvList {
 public:
  /// Names a space; only compared.
  using Space = const void*;

  struct Place {
    Space space = nullptr;
    uvm::Gpa address;
    friend auto operator<=>(const Place&, const Place&) = default;
  };

  /// `space` maps `frames` from `at` on, and nothing else there any more. Without memory (std::bad_alloc) the
  /// range is as before, or maps nothing.
  void enter(Space space, uvm::Gpa at, const uvm::FrameRun& frames);
  /// False: a record has to be cut in two and there is no memory for that; nothing has changed.
  [[nodiscard]] bool remove(Space space, uvm::GpaRange range) noexcept;
  /// Needs no memory.
  void remove_all(Space space) noexcept;

  /// Every place where `frame` is mapped, in order.
  [[nodiscard]] std::vector<Place> places(uvm::Frame frame) const;
  [[nodiscard]] std::uint64_t bytes() const;

 private:
  using Runs = std::map<uvm::Gpa, uvm::FrameRun>;  // by first GPA, disjoint

  void remove_locked(Space space, uvm::GpaRange range) REQUIRES(mutex_);
  void insert_locked(Space space, uvm::Gpa at, const uvm::FrameRun& frames) REQUIRES(mutex_);
  Runs::iterator erase_locked(Space space, Runs& runs, Runs::iterator run) REQUIRES(mutex_);
  /// Both records of a run, or (std::bad_alloc) none.
  void add_locked(Space space, Runs& runs, uvm::Gpa at, const uvm::FrameRun& frames) REQUIRES(mutex_);
  void resize_locked(Space space, Runs::iterator run, std::uint64_t count) REQUIRES(mutex_);
  /// The run without its first `pages`.
  void cut_front_locked(Space space, Runs& runs, Runs::iterator run, std::uint64_t pages) REQUIRES(mutex_);

  struct Key {
    const uvm::FrameStore* store = nullptr;
    std::uint64_t index = 0;  // first page
    Place place;
    friend auto operator<=>(const Key&, const Key&) = default;
  };

  mutable uvm::Mutex mutex_{uvm::LockRank::PvList};
  std::map<Space, Runs> spaces_ GUARDED_BY(mutex_);
  std::map<Key, std::uint64_t> frames_ GUARDED_BY(mutex_);                      // -> pages of the run
  std::map<const uvm::FrameStore*, std::uint64_t> longest_ GUARDED_BY(mutex_);  // bounds the backward search
};

}  // namespace ept

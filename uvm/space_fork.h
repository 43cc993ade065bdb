// Fork of one mapping: what the child gets, and what has to happen to the parent for it (NetBSD
// uvmspace_fork, uvm_mapent_forkshared, _forkcopy, _forkzero).
//
// Three differences from NetBSD. The amap knows who shares it, so a copy of a shared one takes the right to
// write from every sharer, not from the forking space alone. needs_copy is never set on a member of a share
// group: the child gets a copy of the slots at once, which costs a count per chunk. And pages that the host
// made in place become anons first, because the child could not use them where they are; unless they are
// pinned.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/entry.h"
#include "uvm/map.h"
#include "uvm/pin_table.h"
#include "uvm/pmap.h"

namespace uvm {

/// One fork. The parent's map lock is held exclusively from the first entry() to the last; finish() is called
/// without it, and at the latest when the child is given up.
class SpaceFork {
 public:
  struct Parent {
    Map& map;
    Pmap& pmap;
    const PinTable& pins;
  };
  struct Child {
    Map& map;
    Pmap& pmap;
  };
  SpaceFork(const Parent& parent, const Child& child)
      : map_(parent.map),
        pmap_(parent.pmap),
        pins_(parent.pins),
        child_(child.map),
        child_pmap_(child.pmap) {}
  ~SpaceFork() { finish(); }
  SpaceFork(const SpaceFork&) = delete;
  SpaceFork& operator=(const SpaceFork&) = delete;

  /// Cuts the entries that will be copied at the edges of what is pinned, so that each is pinned or is not.
  void cut_at_pins(GpaRange limits) REQUIRES(map_.lock());
  /// Forks one entry of the parent into the child. Errors: NoMemory; the parent's memory is as it was.
  [[nodiscard]] Status entry(Entry& entry) REQUIRES(map_.lock());
  /// Gives an entry of the parent an amap that others can join, with its private pages in it: what
  /// Inherit::Share and Space::extract() begin with. Errors: NoMemory; the parent's memory is as it was.
  [[nodiscard]] Status make_shareable(Entry& entry) REQUIRES(map_.lock());
  /// Waits until no vCPU can write what is shared now.
  void finish();

 private:
  [[nodiscard]] Status copy(Entry& entry) REQUIRES(map_.lock());
  [[nodiscard]] Status share(Entry& entry) REQUIRES(map_.lock());
  /// Makes anons of the pages that are private in place. The host makes no more of them in the entry until a
  /// fault lets it.
  [[nodiscard]] Status move_pages(Entry& entry) REQUIRES(map_.lock());
  /// The child's amap of a share group's member: the slots as they are, which nobody may write any more.
  /// Slots that a member of the group has pinned are the exception: the child gets copies of them.
  [[nodiscard]] Result<std::shared_ptr<Amap>> snapshot_of_group(const Entry& entry);
  /// A pinned entry: copies of its private pages for the child, at once; nothing of the parent changes
  /// (NetBSD uvm_amap.c:amap_cow_now).
  [[nodiscard]] Status copy_pinned(const Entry& entry) REQUIRES(map_.lock());
  /// Copies the anons of a range of slots that are in memory into the child, each to where the entry shows
  /// it, and appends which to `copied`, ascending. The amap is locked.
  [[nodiscard]] Status copy_slots(const Entry& entry, Amap& amap, SlotRange slots,
                                  std::vector<SlotRange>& copied) REQUIRES(amap.lock());

  Map& map_;
  Pmap& pmap_;
  const PinTable& pins_;
  Map& child_;
  Pmap& child_pmap_;
  std::set<Pmap*> to_flush_;
  std::vector<std::shared_ptr<Amap>> held_;  // busy until flushed: their users' pmaps stay alive
};

}  // namespace uvm

// Fork of one mapping: what the child gets, and what has to happen to the parent for it (NetBSD
// uvmspace_fork, uvm_mapent_forkshared, _forkcopy, _forkzero).
//
// Three differences from NetBSD. The amap knows who shares it, so a copy of a shared one takes the right to
// write from every sharer, not from the forking space alone. needs_copy is never set on a member of a share
// group: the child gets a copy of the slots at once, which costs a count per chunk. And pages that the host
// made in place become anons first, because the child could not use them where they are.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/entry.h"
#include "uvm/map.h"
#include "uvm/pmap.h"

namespace uvm {

/// One fork. The parent's map lock is held exclusively from the first entry() to the last; finish() is called
/// without it, and at the latest when the child is given up.
class SpaceFork {
 public:
  SpaceFork(Map& parent, Pmap& parent_pmap, Map& child) : map_(parent), pmap_(parent_pmap), child_(child) {}
  ~SpaceFork() { finish(); }
  SpaceFork(const SpaceFork&) = delete;
  SpaceFork& operator=(const SpaceFork&) = delete;

  /// Forks one entry of the parent into the child. Errors: NoMemory; the parent's memory is as it was.
  [[nodiscard]] Status entry(Entry& entry) REQUIRES(map_.lock());
  /// Waits until no vCPU can write what is shared now.
  void finish();

 private:
  [[nodiscard]] Status copy(Entry& entry) REQUIRES(map_.lock());
  [[nodiscard]] Status share(Entry& entry) REQUIRES(map_.lock());
  /// Makes anons of the pages that are private in place. The host makes no more of them in the entry until a
  /// fault lets it.
  [[nodiscard]] Status move_pages(Entry& entry) REQUIRES(map_.lock());
  /// The child's amap of a share group's member: the slots as they are, which nobody may write any more.
  [[nodiscard]] std::shared_ptr<Amap> snapshot_of_group(const Entry& entry);

  Map& map_;
  Pmap& pmap_;
  Map& child_;
  std::set<Pmap*> to_flush_;
  std::vector<std::shared_ptr<Amap>> held_;  // busy until flushed: their users' pmaps stay alive
};

}  // namespace uvm

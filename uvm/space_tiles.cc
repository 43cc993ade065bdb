// Space::tiles: what a picture of a space asks.
//
// The locks of the map, of one amap and of the pmap are held for a stretch of the space at a time, so that a
// guest whose faults want them waits for milliseconds at most, however large it is. What moves between two
// looks at one stretch can be missed, or seen twice; no sum exceeds what is mapped.
#include <algorithm>
#include <array>
#include <bit>
#include <set>

#include "uvm/locked_amap.h"
#include "uvm/space.h"

namespace uvm {
namespace {

constexpr std::uint64_t kTiles = 128;  // of a stretch
constexpr std::uint64_t kStretch = kTiles * kTileBytes;

std::uint64_t mixed(std::uint64_t hash, std::uint64_t word) {
  return (std::rotl(hash, 5) ^ word) * 0x9e37'79b9'7f4a'7c15;
}

/// The tiles of one stretch while they are counted.
class Stretch {
 public:
  explicit Stretch(Gpa begin) : begin_(begin) {
    for (std::size_t i = 0; i < tiles_.size(); ++i) tiles_[i].begin = begin + i * kTileBytes;
  }

  [[nodiscard]] const std::array<Tile, kTiles>& tiles() const { return tiles_; }
  [[nodiscard]] Tile& tile_at(Gpa page) { return tiles_[(page - begin_) / kTileBytes]; }
  /// Calls `visit(Tile&, part)` for the parts of a range, which lies in the stretch, tile by tile.
  template <class F>
  void each(GpaRange range, F&& visit) {
    while (!range.empty()) {
      Tile& tile = tile_at(range.begin());
      const GpaRange part = range.before(tile.begin + kTileBytes);
      visit(tile, part);
      range = range.from(part.end());
    }
  }
  void add(GpaRange range, std::uint64_t Tile::*kind) {
    each(range, [kind](Tile& tile, GpaRange part) { tile.*kind += part.pages(); });
  }
  /// What was looked at twice counts once.
  void settle() {
    for (Tile& tile : tiles_) {
      std::uint64_t left = tile.mapped;
      for (std::uint64_t* const kind : {&tile.swapped, &tile.shared, &tile.priv, &tile.object}) {
        *kind = std::min(*kind, left);
        left -= *kind;
      }
    }
  }

 private:
  const Gpa begin_;
  std::array<Tile, kTiles> tiles_{};
};

/// What lies below the private pages of a part of an entry.
void add_ground(Stretch& stretch, const Entry& entry, GpaRange part) {
  std::uint64_t of = 0;
  if (entry.object) {
    const ObjectIdentity identity = entry.object->identity();
    of = mixed(mixed(1, identity.device), identity.inode);
    if (identity == ObjectIdentity()) of = mixed(2, reinterpret_cast<std::uintptr_t>(entry.object.get()));
  }
  stretch.each(part, [&](Tile& tile, GpaRange piece) {
    tile.mapped += piece.pages();
    tile.ground = mixed(mixed(tile.ground, piece.begin() - tile.begin), piece.size());
    tile.ground = mixed(tile.ground, of);
    if (entry.object) {
      tile.ground = mixed(tile.ground, entry.offset_of(piece.begin()).value() - piece.begin().value());
    }
  });
}

/// Who else looks through the amap at these slots: a fork that has written nothing yet, a share group.
std::uint64_t other_spaces(const LockedAmap& amap, SlotRange slots, const Pmap& pmap) {
  std::set<const Pmap*> others;
  amap.each_place_of(slots, [&](const Pmap& place, GpaRange) {
    if (&place != &pmap) others.insert(&place);
  });
  return others.size();
}

void add_anons(Stretch& stretch, const Entry& entry, GpaRange part, const Pmap& pmap) {
  const LockedAmap amap(entry);
  if (!amap.exists()) return;
  SlotRange left = entry.slots_of(part);
  const std::uint64_t through_amap = other_spaces(amap, left, pmap);
  while (const auto slot = amap.first_used(left)) {
    Tile& tile = stretch.tile_at(entry.page_of_slot(*slot));
    if (amap.find(*slot)->is_swapped()) {
      ++tile.swapped;
    } else if (const std::uint64_t others = through_amap + amap.others(*slot); others != 0) {
      ++tile.shared;
      tile.others = std::max(tile.others, others);
    } else {
      ++tile.priv;
    }
    left.begin = *slot + 1;
  }
}

}  // namespace

void Space::tiles(const std::function<void(const Tile&)>& found) const {
  for (Gpa at = limits_.begin(); at < limits_.end();) {
    std::optional<Stretch> stretch;
    {
      const SharedLock lock(map_.lock());
      const Entry* const next = map_.first_from(at);
      if (next == nullptr || next->range.begin() >= limits_.end()) return;
      const Gpa first = std::max(at, next->range.begin());
      stretch.emplace(Gpa(first.value() / kStretch * kStretch));
      const GpaRange all = limits_.from(first).before(stretch->tiles().front().begin + kStretch);
      map_.each(all, [&](const Entry& entry) {
        if (entry.object && entry.object->tenure() == Tenure::None) return;
        const GpaRange part = entry.range.intersection(all);
        add_ground(*stretch, entry, part);
        add_anons(*stretch, entry, part, pmap_);
        if (entry.has_layer()) {
          pmap_.harvest(part, [&](GpaRange run, Frame) { stretch->add(run, &Tile::priv); });
        }
        if (entry.object) {
          pmap_.each_object_run(part, [&](GpaRange run) { stretch->add(run, &Tile::object); });
        }
        for (const GpaRange& pinned : pins_->parts(part)) stretch->add(pinned, &Tile::wired);
      });
      at = all.end();
    }
    stretch->settle();
    for (const Tile& tile : stretch->tiles()) {
      if (tile.mapped != 0) found(tile);
    }
  }
}

}  // namespace uvm

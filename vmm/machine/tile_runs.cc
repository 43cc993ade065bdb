#include "vmm/machine/tile_runs.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace vmm {
namespace {

using uvm::Gpa;
using uvm::Tile;

constexpr std::array kCounts = {&Tile::mapped, &Tile::object,  &Tile::priv,
                                &Tile::shared, &Tile::swapped, &Tile::wired};

Gpa down(Gpa at, std::uint64_t bytes) {
  return Gpa(at.value() / bytes * bytes);
}

void add_counts(Tile& sum, const Tile& tile, std::uint64_t times) {
  for (const auto count : kCounts) sum.*count += tile.*count * times;
}

/// Two halves in one.
Tile both(const Tile& low, const Tile& high) {
  Tile sum = low;
  add_counts(sum, high, 1);
  sum.others = std::max(low.others, high.others);
  sum.ground = low.ground + high.ground;  // the same, however large tiles came to be
  return sum;
}

}  // namespace

void TileRuns::append(const Tile& tile, std::uint64_t count) {
  if (!runs_.empty()) {
    TileRun& last = runs_.back();
    Tile next = last.tile;
    next.begin = last.tile.begin + last.count * bytes_;
    if (next == tile) {
      last.count += count;
      return;
    }
  }
  runs_.push_back({tile, count});
}

void TileRuns::add(const Tile& tile) {
  add_counts(totals_, tile, 1);
  Tile whole = tile;
  whole.begin = down(tile.begin, bytes_);
  if (!runs_.empty()) {
    TileRun& last = runs_.back();
    Tile begun = last.tile;
    begun.begin = begun.begin + (last.count - 1) * bytes_;
    if (begun.begin == whole.begin) {  // of a tile that is larger than what comes
      whole = both(begun, tile);
      if (--last.count == 0) runs_.pop_back();
    }
  }
  append(whole, 1);
  if (runs_.size() >= 2 * most_) coarsen();
}

void TileRuns::coarsen() {
  const std::vector<TileRun> fine = std::exchange(runs_, {});
  const std::uint64_t fine_bytes = std::exchange(bytes_, 2 * bytes_);
  std::optional<Tile> half;  // of a tile whose other half may follow
  const auto flush = [&] {
    if (half) append(*half, 1);
    half.reset();
  };
  for (const TileRun& run : fine) {
    Tile tile = run.tile;
    std::uint64_t left = run.count;
    const auto take = [&](std::uint64_t count) {
      tile.begin = tile.begin + count * fine_bytes;
      left -= count;
    };
    if (half && down(tile.begin, bytes_) == half->begin) {
      half = both(*half, tile);
      take(1);
    }
    flush();
    if (left != 0 && down(tile.begin, bytes_) != tile.begin) {
      half = tile;
      half->begin = down(tile.begin, bytes_);
      flush();
      take(1);
    }
    if (const std::uint64_t pairs = left / 2; pairs != 0) {
      append(both(tile, tile), pairs);
      take(2 * pairs);
    }
    if (left != 0) half = tile;
  }
  flush();
}

void TileRuns::finish() {
  while (runs_.size() > most_ && bytes_ < std::uint64_t{1} << 51) coarsen();
}

}  // namespace vmm

// The tiles of a space as runs of equal ones: what goes over the wire.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "uvm/tile.h"

namespace vmm {

/// Most of one answer. A space that needs more is told of in tiles of 4 MiB, of 8 MiB, …: 1 TiB in which all
/// tiles differ comes as 65536 of 16 MiB.
inline constexpr std::size_t kMostTileRuns = 65536;

/// `count` tiles one after the other, each with what `tile` has; their numbers begin at tile.begin.
struct TileRun {
  uvm::Tile tile;
  std::uint64_t count = 0;
};

/// Takes tiles in ascending order. Memory: of at most twice as many runs as it may have.
class TileRuns {
 public:
  explicit TileRuns(std::size_t most = kMostTileRuns) : most_(most) {}

  void add(const uvm::Tile& tile);
  /// Nothing is added any more: no more runs than there may be.
  void finish();

  [[nodiscard]] const std::vector<TileRun>& runs() const { return runs_; }
  /// Bytes of a tile.
  [[nodiscard]] std::uint64_t tile_bytes() const { return bytes_; }
  /// Of all tiles; `begin`, `others` and `ground` mean nothing.
  [[nodiscard]] const uvm::Tile& totals() const { return totals_; }

 private:
  void append(const uvm::Tile& tile, std::uint64_t count);
  /// Tiles of twice the size.
  void coarsen();

  const std::size_t most_;
  std::uint64_t bytes_ = uvm::kTileBytes;
  std::vector<TileRun> runs_;
  uvm::Tile totals_;
};

}  // namespace vmm

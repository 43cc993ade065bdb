// A guest's memory as tiles, as JSON: what the page at /ui draws.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "uvm/space.h"
#include "vmm/machine/tile_runs.h"

namespace vmm {

/// What a space does not know of itself.
struct TilesOf {
  std::string machine;
  bool paused = false;
  std::vector<uvm::Gpa> traps;  // where a debugger's breakpoints lie
};

/// Pins and breakpoints that are listed; how many there are is told.
inline constexpr std::size_t kMostListed = 4096;

/// {"machine", "pid", "paused", "tile_bytes", "runs": [[first, count, mapped, object, private, shared,
/// swapped, wired, others, ground], …], "grounds": [TEXT, …], "totals": {…}, "mappings": […], "pins": […],
/// "pin_count", "traps": [GPA, …], "trap_count"}. A run is `count` tiles from tile number `first` on, what
/// each holds in pages (uvm/tile.h), and the index of its ground; totals are bytes. Costs what
/// uvm::Space::tiles() does.
[[nodiscard]] std::string memory_tiles_json(const uvm::Space& space, const TilesOf& of,
                                            std::size_t most_runs = kMostTileRuns);

}  // namespace vmm

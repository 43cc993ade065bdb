// A space as a picture: what each stretch of it holds, counted in pages.
#pragma once

#include <cstdint>

#include "uvm/base/range.h"
#include "uvm/base/units.h"

namespace uvm {

inline constexpr std::uint64_t kTileBytes = std::uint64_t{1} << 21;  // a page of the table above

/// 2 MiB of a space, from a multiple of that on. Of `mapped` pages each counts once as object, priv, shared
/// or swapped, or as none of them: nobody has touched it, or the host does not have it in view. Wired counts
/// beside these.
struct Tile {
  Gpa begin;
  std::uint64_t mapped = 0;   // as memory; a device's pages are none
  std::uint64_t object = 0;   // the object's, in memory and in view
  std::uint64_t priv = 0;     // this space's own
  std::uint64_t shared = 0;   // private pages that others hold too: copies that a fork made, checkpoints
  std::uint64_t swapped = 0;  // in the space's swap area
  std::uint64_t wired = 0;    // held by pins
  std::uint64_t others = 0;   // who hold one of the shared pages besides this space, at least; of the most
  /// Equal for two tiles, of whatever spaces of this host, that show the same bytes as long as nothing of
  /// them is private or swapped.
  std::uint64_t ground = 0;

  friend bool operator==(const Tile&, const Tile&) = default;
};

}  // namespace uvm

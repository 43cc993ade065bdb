#include "vmm/machine/tiles_json.h"

#include <unistd.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <unordered_map>
#include <utility>

#include "vmm/machine/memory_map.h"

namespace vmm {
namespace {

namespace json = boost::json;

/// Numbers for grounds, which are too long to be numbers in JSON.
class Grounds {
 public:
  [[nodiscard]] std::uint64_t index_of(std::uint64_t ground) {
    const auto [at, is_new] = indices_.try_emplace(ground, names_.size());
    if (is_new) names_.emplace_back(uvm::hex(ground));
    return at->second;
  }
  [[nodiscard]] json::array take() { return std::move(names_); }

 private:
  std::unordered_map<std::uint64_t, std::uint64_t> indices_;
  json::array names_;
};

json::array values_of(const TileRun& run, std::uint64_t bytes, std::uint64_t ground) {
  const uvm::Tile& tile = run.tile;
  return {tile.begin.value() / bytes,
          run.count,
          tile.mapped,
          tile.object,
          tile.priv,
          tile.shared,
          tile.swapped,
          tile.wired,
          tile.others,
          ground};
}

json::object totals_of(const uvm::Tile& sum) {
  const std::uint64_t touched = sum.object + sum.priv + sum.shared + sum.swapped;
  const auto bytes = [](std::uint64_t pages) { return pages << uvm::kPageShift; };
  return {{"mapped", bytes(sum.mapped)}, {"untouched", bytes(sum.mapped - touched)},
          {"object", bytes(sum.object)}, {"private", bytes(sum.priv)},
          {"shared", bytes(sum.shared)}, {"swapped", bytes(sum.swapped)},
          {"wired", bytes(sum.wired)}};
}

json::array mappings_of(const uvm::Space& space) {
  json::array list;
  for (const uvm::EntryInfo& entry : space.entries()) {
    if (entry.tenure == uvm::Tenure::None) continue;
    json::object mapping{{"begin", entry.range.begin().value()},
                         {"end", entry.range.end().value()},
                         {"name", entry.name},
                         {"kind", kind_of(entry)}};
    if (!entry.object.empty()) {
      mapping["object"] = entry.object;
      mapping["offset"] = entry.offset.value();
      mapping["identity"] =
          std::to_string(entry.identity.device) + ":" + std::to_string(entry.identity.inode);
    }
    list.push_back(std::move(mapping));
  }
  return list;
}

json::array pins_of(const std::vector<uvm::PinInfo>& pins) {
  json::array list;
  for (const uvm::PinInfo& pin : pins) {
    if (list.size() == kMostListed) break;
    list.push_back(json::object{{"begin", pin.range.begin().value()},
                                {"end", pin.range.end().value()},
                                {"access", pin.access == uvm::PinAccess::Read ? "read" : "write"},
                                {"owner", pin.owner}});
  }
  return list;
}

}  // namespace

std::string memory_tiles_json(const uvm::Space& space, const TilesOf& of, std::size_t most_runs) {
  TileRuns tiles(most_runs);
  space.tiles([&tiles](const uvm::Tile& tile) { tiles.add(tile); });
  tiles.finish();
  Grounds grounds;
  json::array runs;
  runs.reserve(tiles.runs().size());
  for (const TileRun& run : tiles.runs()) {
    runs.push_back(values_of(run, tiles.tile_bytes(), grounds.index_of(run.tile.ground)));
  }
  json::array traps;
  for (const uvm::Gpa trap : of.traps) {
    if (traps.size() < kMostListed) traps.emplace_back(trap.value());
  }
  const std::vector<uvm::PinInfo> pins = space.pins();
  return json::serialize(json::object{{"machine", of.machine},
                                      {"pid", ::getpid()},
                                      {"paused", of.paused},
                                      {"tile_bytes", tiles.tile_bytes()},
                                      {"runs", std::move(runs)},
                                      {"grounds", grounds.take()},
                                      {"totals", totals_of(tiles.totals())},
                                      {"mappings", mappings_of(space)},
                                      {"pins", pins_of(pins)},
                                      {"pin_count", pins.size()},
                                      {"traps", std::move(traps)},
                                      {"trap_count", of.traps.size()}});
}

}  // namespace vmm

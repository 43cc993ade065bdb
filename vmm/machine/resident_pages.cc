#include "vmm/machine/resident_pages.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace vmm {
namespace {

using uvm::Error;
using uvm::Result;

/// No file is that long, so that no sum below overflows.
constexpr std::uint64_t kMostPages = std::uint64_t{1} << 52;

Error damaged() {
  return {uvm::ErrorKind::Invalid, "what a machine says of its memory is damaged"};
}

}  // namespace

void put_in_order(std::vector<ObjectRun>& runs) {
  std::ranges::sort(runs);
  std::vector<ObjectRun> joined;
  for (const ObjectRun& run : runs) {
    if (!joined.empty() && run.first <= joined.back().end()) {
      joined.back().pages = std::max(joined.back().end(), run.end()) - joined.back().first;
    } else {
      joined.push_back(run);
    }
  }
  runs = std::move(joined);
}

Result<ResidentPages> ResidentPages::of(const ept::Pmap& pmap,
                                        const std::vector<snapshot::MemoryObject>& kept) {
  ResidentPages seen;
  UVMM_TRY(seen.own,
           pmap.resident([&](const ept::host::Backing& object, std::uint64_t first, std::uint64_t pages) {
             seen.objects[object.identity()].push_back({first, pages});
           }));
  for (auto& [id, runs] : seen.objects) put_in_order(runs);
  for (const snapshot::MemoryObject& object : kept) {
    seen.objects.try_emplace(object->identity());
    if (const std::uint64_t bytes = snapshot::held_by(*object); bytes != 0)
      seen.held[object->identity()] = bytes;
  }
  return seen;
}

std::vector<std::byte> ResidentPages::encode() const {
  std::vector<std::uint64_t> words{own};
  for (const auto& [id, runs] : objects) {
    const auto bytes = held.find(id);
    words.insert(words.end(), {id.device, id.inode, bytes != held.end() ? bytes->second : 0, runs.size()});
    for (const ObjectRun& run : runs) words.insert(words.end(), {run.first, run.pages});
  }
  const auto bytes = std::as_bytes(std::span(words));
  return {bytes.begin(), bytes.end()};
}

Result<ResidentPages> ResidentPages::decode(std::span<const std::byte> bytes) {
  std::size_t at = 0;
  const auto take = [&](auto&... words) {
    constexpr std::size_t kBytes = sizeof...(words) * sizeof(std::uint64_t);
    if (bytes.size() - at < kBytes) return false;
    (..., (std::memcpy(&words, bytes.data() + std::exchange(at, at + sizeof words), sizeof words)));
    return true;
  };
  ResidentPages seen;
  if (!take(seen.own)) return damaged();
  while (at < bytes.size()) {
    uvm::ObjectIdentity id;
    std::uint64_t bytes_held = 0;
    std::uint64_t count = 0;
    if (!take(id.device, id.inode, bytes_held, count)) return damaged();
    if (bytes_held / uvm::kPageSize > kMostPages) return damaged();
    if (bytes_held != 0) seen.held[id] = bytes_held;
    auto& runs = seen.objects[id];
    for (std::uint64_t i = 0; i < count; ++i) {
      ObjectRun run;
      if (!take(run.first, run.pages)) return damaged();
      if (run.first > kMostPages || run.pages > kMostPages) return damaged();
      runs.push_back(run);
    }
    put_in_order(runs);
  }
  return seen;
}

}  // namespace vmm

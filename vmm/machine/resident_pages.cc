#include "vmm/machine/resident_pages.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace vmm {
namespace {

using uvm::Error;
using uvm::Result;

/// No file is that long, so that no sum below overflows.
constexpr std::uint64_t kMostPages = std::uint64_t{1} << 52;

/// Ascending, and each page once: a guest may map one twice.
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

Error damaged() {
  return {uvm::ErrorKind::Invalid, "what a machine says of its memory is damaged"};
}

}  // namespace

Result<ResidentPages> ResidentPages::of(const ept::Pmap& pmap) {
  ResidentPages seen;
  std::map<const ept::host::Backing*, ObjectId> ids;
  int failed = 0;
  UVMM_TRY(seen.own,
           pmap.resident([&](const ept::host::Backing& object, std::uint64_t first, std::uint64_t pages) {
             const auto [id, is_new] = ids.try_emplace(&object);
             struct stat file {};
             if (is_new && ::fstat(object.fd(), &file) != 0) failed = errno;
             if (is_new) id->second = {file.st_dev, file.st_ino};
             seen.objects[id->second].push_back({first, pages});
           }));
  if (failed != 0) return Error::from_errno(failed, "looking at an object of guest memory");
  for (auto& [id, runs] : seen.objects) put_in_order(runs);
  return seen;
}

std::vector<std::byte> ResidentPages::encode() const {
  std::vector<std::uint64_t> words{own};
  for (const auto& [id, runs] : objects) {
    words.insert(words.end(), {id.device, id.inode, runs.size()});
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
    ObjectId id;
    std::uint64_t count = 0;
    if (!take(id.device, id.inode, count)) return damaged();
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

#include "vmm/snapshot/snapshot_chain.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <filesystem>
#include <span>
#include <utility>

#include "uvm/base/runs.h"
#include "vmm/snapshot/disk_file.h"
#include "vmm/snapshot/field_lists.h"
#include "vmm/snapshot/page_store.h"
#include "vmm/snapshot/section_fields.h"
#include "vmm/snapshot/snapshot_files.h"
#include "vmm/text.h"

namespace vmm::snapshot {
namespace {

namespace fs = std::filesystem;
using uvm::Error;
using uvm::ErrorKind;
using uvm::Result;
using uvm::Status;

constexpr std::uint64_t kMostState = std::uint64_t{1} << 30;
constexpr std::size_t kLongestPath = 4095;

constexpr const char* kWholeChain = "bring it back as it was, or restore a snapshot that has no base";

Status read_sections(Level& level) {
  UVMM_TRY(const auto table, SectionTable::read(level.description));
  UVMM_CHECK(restore(table, level.file));
  UVMM_CHECK(restore(table, level.layout));
  const auto is_formerly = [](const Section& each) { return each.name == FormerIdentity().state_name(); };
  if (std::ranges::any_of(table.all(), is_formerly)) {
    UVMM_CHECK(restore(table, level.formerly.emplace()));
  }
  if (!level.layout.is_delta()) return uvm::ok();
  return restore(table, level.base);
}

Result<Level> read_level_at(const std::string& state_path, const std::string& shown) {
  Level level;
  UVMM_TRY(level.description, read_file(state_path, kMostState));
  level.identity = XXH3_64bits(level.description.data(), level.description.size());
  if (auto read = read_sections(level); !read) {
    return std::move(read).error().with_context("snapshot " + shown);
  }
  return level;
}

Result<Level> read_level(const std::string& directory) {
  UVMM_TRY(Level level, read_level_at(directory + "/" + kStateFile, directory));
  level.directory = directory;
  return level;
}

/// The level that another one builds on.
Result<Level> read_base(const Level& of) {
  std::error_code error;
  const fs::path from = fs::weakly_canonical(of.directory, error);
  const std::string path = (from / of.base.path()).lexically_normal();
  auto level = read_level(path);
  const std::string whose = "snapshot " + of.directory + " builds on " + path;
  if (!level && level.error().kind() == ErrorKind::NotFound) {
    return Error(ErrorKind::NotFound, whose + ", and there is no snapshot", kWholeChain);
  }
  if (!level) return std::move(level).error().with_context(whose);
  if (level->is(of.base.identity())) return level;
  return Error(ErrorKind::Invalid,
               whose + " as it was with identity " + uvm::hex(of.base.identity()) + ", and it is " +
                   uvm::hex(level->identity) + " now",
               kWholeChain);
}

/// Of each level. All are open before any is read, which takes long: what takes the place of one meanwhile is
/// not mixed in.
Result<std::vector<MemoryObject>> open_memory(const std::vector<Level>& levels, Verify verify,
                                              std::vector<MemorySums>& unchecked) {
  std::vector<std::shared_ptr<ept::host::FileObject>> files;
  for (const Level& level : levels) {
    UVMM_TRY(auto file, level.file.open(level.directory));
    files.push_back(std::move(file));
  }
  // The lowest first: damage there is told of rather than what follows from it.
  std::vector<MemoryObject> memory(levels.size());
  for (std::size_t i = levels.size(); i-- > 0;) {
    UVMM_TRY(memory[i], levels[i].file.memory_in(std::move(files[i]), verify, unchecked));
  }
  return memory;
}

/// `pieces`, as regions over those of the lowest level and copies of what is short.
Result<MemoryImage> settled(const std::vector<MemoryRegion>& lowest,
                            const std::vector<MemoryRegion>& pieces) {
  std::vector<MemoryRegion> mapped;
  std::vector<MemoryRegion> copied;
  std::uint64_t pages = 0;
  for (const MemoryRegion& piece : pieces) {
    if (piece.object == lowest.front().object) continue;
    const bool is_long = piece.range.pages() >= kMapFrom && mapped.size() < kMostRegions;
    (is_long ? mapped : copied).push_back(piece);
    if (!is_long) pages += piece.range.pages();
  }
  MemoryImage image;
  image.regions = overlaid(lowest, mapped);
  if (copied.empty()) return image;
  UVMM_TRY(auto store, PageStore::create(pages));
  std::uint64_t offset = 0;
  for (const MemoryRegion& piece : copied) {
    const auto bytes = store.next(piece.range.pages());
    UVMM_CHECK(read_all(piece.object->fd(), std::string(piece.object->name()), bytes, piece.offset));
    store.keep(piece.range.pages());
    append_region(image.changed, {piece.range, nullptr, offset});
    offset += piece.range.size();
  }
  UVMM_TRY(const MemoryObject frozen, std::move(store).freeze());
  settle(image.changed, frozen);
  return image;
}

}  // namespace

void BaseLink::state(devices::StateFields& fields) {
  text(fields, path_, kLongestPath);
  fields.require(!path_.empty() && one_line(path_) == path_, "path");
  fields.field(identity_);
}

Result<std::vector<Level>> read_chain(const std::string& directory) {
  std::vector<Level> levels;
  UVMM_TRY(Level first, read_level(directory));
  levels.push_back(std::move(first));
  while (!levels.back().base.path().empty()) {
    if (levels.size() == kMostLevels) {
      return Error(ErrorKind::Invalid, "snapshot " + directory + " builds on " + std::to_string(kMostLevels) +
                                           " others, and on more");
    }
    UVMM_TRY(Level base, read_base(levels.back()));
    levels.push_back(std::move(base));
  }
  return levels;
}

Result<Level> read_level_of(const std::string& state_path) {
  return read_level_at(state_path, state_path);
}

Result<MemoryImage> memory_of(const std::vector<Level>& levels, Verify verify) {
  const Level& lowest = levels.back();
  std::vector<MemorySums> unchecked;
  UVMM_TRY(const auto files, open_memory(levels, verify, unchecked));
  auto image = lowest.layout.resolve(std::span(&files.back(), 1));
  if (!image) return std::move(image).error().with_context("snapshot " + lowest.directory);
  if (levels.size() == 1) {
    image->unchecked = std::move(unchecked);
    return image;
  }
  const auto ram = covered_by(image->regions);
  if (ram.empty() || !image->changed.empty()) {
    return Error(ErrorKind::Invalid, "snapshot " + lowest.directory + " is none that others can build on");
  }
  std::vector<MemoryRegion> pieces = image->regions;
  for (std::size_t i = levels.size() - 1; i-- > 0;) {
    auto own = levels[i].layout.own_regions(files[i], ram);
    if (!own) return std::move(own).error().with_context("snapshot " + levels[i].directory);
    pieces = overlaid(pieces, *own);
  }
  UVMM_TRY(MemoryImage memory, settled(image->regions, pieces));
  memory.unchecked = std::move(unchecked);
  return memory;
}

Result<BaseLink> link_to(const std::vector<Level>& base, const std::string& directory) {
  std::error_code error;
  for (const Level& level : base) {
    if (!fs::equivalent(level.directory, directory, error)) continue;
    return Error(ErrorKind::Invalid, "snapshot: " + directory + " is what the new one would build on",
                 "write it into another directory");
  }
  if (base.size() + 1 > kMostLevels) {
    return Error(ErrorKind::Invalid,
                 "snapshot " + base.front().directory + " builds on " + std::to_string(base.size() - 1) +
                     " others, which is the most",
                 "write one without --base");
  }
  const std::string path =
      fs::relative(fs::canonical(base.front().directory, error), fs::canonical(directory, error), error);
  if (!path.empty() && one_line(path) == path && path.size() <= kLongestPath) {
    return BaseLink(path, base.front().identity);
  }
  return Error(ErrorKind::Invalid, "snapshot: no path leads from " + directory + " to its base",
               "name directories by printable text");
}

}  // namespace vmm::snapshot

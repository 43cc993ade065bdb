#include "vmm/snapshot/snapshot_files.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <optional>
#include <utility>

#include "vmm/snapshot/disk_file.h"
#include "vmm/snapshot/image_layout.h"
#include "vmm/snapshot/memory_file.h"
#include "vmm/snapshot/section_fields.h"

namespace vmm::snapshot {
namespace {

namespace fs = std::filesystem;
using uvm::Result;
using uvm::Status;

/// A state that has not taken its place yet.
constexpr const char* kFreshState = "state.new";

std::string path_in(const std::string& directory, std::string_view name) {
  return directory + "/" + std::string(name);
}

/// A base that a snapshot is written against.
struct Base {
  ImageView memory;
  BaseLink link;
};

Result<Base> open_base(const std::string& base, const std::string& directory, const MemoryImage& memory) {
  UVMM_TRY(const auto levels, read_chain(base));
  UVMM_TRY(BaseLink link, link_to(levels, directory));
  UVMM_TRY(const MemoryImage image, memory_of(levels, Verify::State));
  if (covered_by(image.regions) != covered_by(memory.regions)) {
    return uvm::Error(uvm::ErrorKind::Invalid, "snapshot " + base + " is of a machine with other memory",
                      "leave --base out");
  }
  UVMM_TRY(ImageView view, ImageView::create(image));
  return Base{std::move(view), std::move(link)};
}

/// The state with where the memory is; `more`: a BaseLink or a FormerIdentity, or null.
std::vector<std::byte> describe(std::span<const std::byte> state, ImageLayout layout, MemoryFile& file,
                                devices::Stateful* more) {
  SectionWriter writer;
  const std::array files_own{layout.state_name(), file.state_name(), BaseLink().state_name(),
                             FormerIdentity().state_name()};
  if (const auto table = SectionTable::read(state)) {
    for (const Section& section : table->all()) {
      if (std::ranges::find(files_own, section.name) == files_own.end()) writer.add(section);
    }
  }
  save(writer, layout, 0, Unknown::Skip);
  save(writer, file, 0, Unknown::Skip);
  if (more != nullptr) save(writer, *more, 0, Unknown::Skip);
  return std::move(writer).finish();
}

Status replace_file(const std::string& path, const std::string& fresh, std::span<const std::byte> bytes) {
  ::unlink(fresh.c_str());  // of a writer that was killed
  Unfinished unfinished(fresh);
  UVMM_TRY(const Fd fd, create_file(fresh));
  UVMM_CHECK(write_all(fd, fresh, bytes, 0));
  UVMM_CHECK(sync(fd, fresh));
  if (::rename(fresh.c_str(), path.c_str()) != 0) return file_error(path, "replacing");
  unfinished.keep();
  return uvm::ok();
}

/// Above all that are there, so that none is given twice: who has read an older state finds no other memory
/// under its name.
std::uint64_t fresh_number(const std::string& directory) {
  std::uint64_t highest = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(kMemoryPrefix)) continue;
    std::uint64_t number = 0;
    std::from_chars(name.data() + kMemoryPrefix.size(), name.data() + name.size(), number);
    highest = std::max(highest, number);
  }
  return highest + 1;
}

/// Memory that no state names any more.
void remove_others(const std::string& directory, const std::string& keep) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename();
    if (name.starts_with(kMemoryPrefix) && name != keep) ::unlink(entry.path().c_str());
  }
}

std::uint64_t bytes_of(const MemoryImage& memory) {
  return memory.regions.empty() ? 0 : memory.regions.back().range.end().value();
}

/// The description becomes the directory's state, and the memory that belongs to it the only one there.
Status take_place(const WriterLock& lock, const std::string& directory, const MemoryFile& file,
                  std::span<const std::byte> description, Unfinished& memory) {
  UVMM_CHECK(replace_file(path_in(directory, kStateFile), path_in(directory, kFreshState), description));
  memory.keep();
  UVMM_CHECK(lock.sync());
  remove_others(directory, file.name());
  return uvm::ok();
}

/// Whether a level has another state by now.
bool has_changed(const std::vector<Level>& levels) {
  return std::ranges::any_of(levels, [](const Level& level) {
    const auto now = read_level_of(path_in(level.directory, kStateFile));
    return now && now->identity != level.identity;
  });
}

}  // namespace

Result<WrittenBytes> write_snapshot(const std::string& directory, std::span<const std::byte> state,
                                    const MemoryImage& memory, const WriteOptions& options,
                                    const Progress& progress) {
  UVMM_TRY(const WriterLock lock, WriterLock::take(directory));
  UVMM_TRY(const ImageView view, ImageView::create(memory));
  std::optional<Base> parent;
  if (!options.base.empty()) {
    UVMM_TRY(parent, open_base(options.base, directory, memory));
  }
  MemoryFile file(fresh_number(directory), bytes_of(memory), options.packing);
  const std::string path = path_in(directory, file.name());
  Unfinished unfinished(path);
  UVMM_TRY(const auto written, file.write(path, view, parent ? &parent->memory : nullptr, progress));
  const auto description =
      parent ? describe(state, ImageLayout::of_delta(memory, written.own), file, &parent->link)
             : describe(state, ImageLayout::of_file(memory), file, nullptr);
  UVMM_CHECK(take_place(lock, directory, file, description, unfinished));
  return WrittenBytes{written.bytes, description.size()};
}

Result<Collapsed> collapse_snapshot(const std::string& directory, const Progress& progress) {
  if (!fs::exists(path_in(directory, kStateFile))) {
    return uvm::Error(uvm::ErrorKind::NotFound, "snapshot: there is none in " + directory);
  }
  UVMM_TRY(const WriterLock lock, WriterLock::take(directory));
  UVMM_TRY(const auto levels, read_chain(directory));
  if (levels.size() == 1) return Collapsed{{}, levels.size()};
  UVMM_TRY(const MemoryImage memory, memory_of(levels, Verify::All));
  UVMM_TRY(const ImageView view, ImageView::create(memory));
  MemoryFile file(fresh_number(directory), bytes_of(memory), levels.front().file.packing());
  const std::string path = path_in(directory, file.name());
  Unfinished unfinished(path);
  UVMM_TRY(const auto written, file.write(path, view, nullptr, progress));
  FormerIdentity formerly(levels.front().identity);
  const auto description =
      describe(levels.front().description, ImageLayout::of_file(memory), file, &formerly);
  UVMM_CHECK(take_place(lock, directory, file, description, unfinished));
  return Collapsed{{written.bytes, description.size()}, levels.size()};
}

Result<WrittenBytes> write_snapshot_pair(const std::string& state_path, const std::string& memory_path,
                                         std::span<const std::byte> state, const MemoryImage& memory) {
  if (fs::path(state_path).lexically_normal() == fs::path(memory_path).lexically_normal()) {
    return uvm::Error(uvm::ErrorKind::Invalid, "snapshot: " + state_path + " is to be state and memory",
                      "name two files");
  }
  UVMM_TRY(const ImageView view, ImageView::create(memory));
  MemoryFile file(1, bytes_of(memory));
  const std::string fresh = memory_path + ".new";
  ::unlink(fresh.c_str());  // of a writer that was killed
  Unfinished unfinished(fresh);
  UVMM_TRY(const auto written, file.write(fresh, view, nullptr, {}));
  const auto description = describe(state, ImageLayout::of_file(memory), file, nullptr);
  if (::rename(fresh.c_str(), memory_path.c_str()) != 0) return file_error(memory_path, "replacing");
  unfinished.keep();
  UVMM_CHECK(replace_file(state_path, state_path + ".new", description));
  return WrittenBytes{written.bytes, description.size()};
}

Result<SavedImage> read_snapshot_pair(const std::string& state_path, const std::string& memory_path,
                                      Verify verify) {
  UVMM_TRY(Level level, read_level_of(state_path));
  if (level.layout.is_delta()) {
    return uvm::Error(uvm::ErrorKind::Invalid, "snapshot " + state_path + " builds on another one",
                      "restore its directory");
  }
  UVMM_TRY(auto file, level.file.open_at(memory_path));
  std::vector<MemorySums> unchecked;
  UVMM_TRY(const MemoryObject object, level.file.memory_in(std::move(file), verify, unchecked));
  SavedImage saved;
  auto memory = level.layout.resolve(std::span(&object, 1));
  if (!memory) return std::move(memory).error().with_context("snapshot " + state_path);
  saved.memory = *std::move(memory);
  saved.memory.unchecked = std::move(unchecked);
  saved.description = std::move(level.description);
  return saved;
}

Result<SavedImage> read_snapshot(const std::string& directory, Verify verify) {
  constexpr int kMostTries = 8;
  for (int tries = 1;; ++tries) {
    UVMM_TRY(auto levels, read_chain(directory));
    auto memory = memory_of(levels, verify);
    if (memory) return SavedImage{std::move(levels.front().description), *std::move(memory)};
    // A state that was read just before another took its place names memory that has gone.
    if (memory.error().kind() != uvm::ErrorKind::NotFound || tries == kMostTries || !has_changed(levels)) {
      return std::move(memory).error();
    }
  }
}

}  // namespace vmm::snapshot

#include "vmm/snapshot/snapshot_files.h"

#include <unistd.h>

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

/// The state with where the memory is.
std::vector<std::byte> describe(std::span<const std::byte> state, ImageLayout layout, MemoryFile& file,
                                BaseLink* base) {
  SectionWriter writer;
  if (const auto table = SectionTable::read(state)) {
    for (const Section& section : table->all()) {
      if (section.name != layout.state_name() && section.name != file.state_name() &&
          section.name != BaseLink().state_name()) {
        writer.add(section);
      }
    }
  }
  save(writer, layout, 0, Unknown::Skip);
  save(writer, file, 0, Unknown::Skip);
  if (base != nullptr) save(writer, *base, 0, Unknown::Skip);
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

/// One whose name no file there has.
std::uint64_t fresh_number(const std::string& directory) {
  std::uint64_t number = 1;
  while (::access(path_in(directory, MemoryFile(number, 0).name()).c_str(), F_OK) == 0) ++number;
  return number;
}

/// Memory that no state names any more.
void remove_others(const std::string& directory, const std::string& keep) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename();
    if (name.starts_with(kMemoryPrefix) && name != keep) ::unlink(entry.path().c_str());
  }
}

}  // namespace

Result<WrittenBytes> write_snapshot(const std::string& directory, std::span<const std::byte> state,
                                    const MemoryImage& memory, const std::string& base,
                                    const Progress& progress) {
  UVMM_TRY(const WriterLock lock, WriterLock::take(directory));
  UVMM_TRY(const ImageView view, ImageView::create(memory));
  std::optional<Base> parent;
  if (!base.empty()) {
    UVMM_TRY(parent, open_base(base, directory, memory));
  }
  MemoryFile file(fresh_number(directory),
                  memory.regions.empty() ? 0 : memory.regions.back().range.end().value());
  const std::string path = path_in(directory, file.name());
  Unfinished unfinished(path);
  UVMM_TRY(const auto written, file.write(path, view, parent ? &parent->memory : nullptr, progress));
  const auto description =
      parent ? describe(state, ImageLayout::of_delta(memory, written.own), file, &parent->link)
             : describe(state, ImageLayout::of_file(memory), file, nullptr);
  UVMM_CHECK(replace_file(path_in(directory, kStateFile), path_in(directory, kFreshState), description));
  unfinished.keep();
  UVMM_CHECK(lock.sync());
  remove_others(directory, file.name());
  return WrittenBytes{written.bytes, description.size()};
}

Result<WrittenBytes> write_snapshot_pair(const std::string& state_path, const std::string& memory_path,
                                         std::span<const std::byte> state, const MemoryImage& memory) {
  if (fs::path(state_path).lexically_normal() == fs::path(memory_path).lexically_normal()) {
    return uvm::Error(uvm::ErrorKind::Invalid, "snapshot: " + state_path + " is to be state and memory",
                      "name two files");
  }
  UVMM_TRY(const ImageView view, ImageView::create(memory));
  MemoryFile file(1, memory.regions.empty() ? 0 : memory.regions.back().range.end().value());
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
  if (verify == Verify::All) UVMM_CHECK(level.file.check_sums(*file));
  const MemoryObject object(std::move(file));
  SavedImage saved;
  auto memory = level.layout.resolve(std::span(&object, 1));
  if (!memory) return std::move(memory).error().with_context("snapshot " + state_path);
  saved.memory = *std::move(memory);
  saved.description = std::move(level.description);
  return saved;
}

Result<SavedImage> read_snapshot(const std::string& directory, Verify verify) {
  UVMM_TRY(auto levels, read_chain(directory));
  SavedImage saved;
  UVMM_TRY(saved.memory, memory_of(levels, verify));
  saved.description = std::move(levels.front().description);
  return saved;
}

}  // namespace vmm::snapshot

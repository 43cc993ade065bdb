#include "vmm/snapshot/snapshot_files.h"

#include <unistd.h>

#include <filesystem>
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

constexpr std::uint64_t kMostState = std::uint64_t{1} << 30;
constexpr const char* kStateFile = "state";
/// A state that has not taken its place yet.
constexpr const char* kFreshState = "state.new";

std::string path_in(const std::string& directory, std::string_view name) {
  return directory + "/" + std::string(name);
}

/// The state with where the memory is; RAM lies in the file at its guest-physical addresses.
std::vector<std::byte> describe(std::span<const std::byte> state, const MemoryImage& memory,
                                MemoryFile& file) {
  SectionWriter writer;
  ImageLayout layout = ImageLayout::of_file(memory);
  if (const auto table = SectionTable::read(state)) {
    for (const Section& section : table->all()) {
      if (section.name != layout.state_name() && section.name != file.state_name()) writer.add(section);
    }
  }
  save(writer, layout, 0, Unknown::Skip);
  save(writer, file, 0, Unknown::Skip);
  return std::move(writer).finish();
}

Status replace_state(const std::string& directory, std::span<const std::byte> bytes) {
  const std::string path = path_in(directory, kStateFile);
  const std::string fresh = path_in(directory, kFreshState);
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

Status read_sections(std::span<const std::byte> description, MemoryFile& file, ImageLayout& layout) {
  UVMM_TRY(const auto table, SectionTable::read(description));
  UVMM_CHECK(restore(table, file));
  return restore(table, layout);
}

}  // namespace

Result<WrittenBytes> write_snapshot(const std::string& directory, std::span<const std::byte> state,
                                    const MemoryImage& memory) {
  UVMM_TRY(const WriterLock lock, WriterLock::take(directory));
  UVMM_TRY(const ImageView view, ImageView::create(memory));
  MemoryFile file(fresh_number(directory),
                  memory.regions.empty() ? 0 : memory.regions.back().range.end().value());
  const std::string path = path_in(directory, file.name());
  Unfinished unfinished(path);
  WrittenBytes written;
  UVMM_TRY(written.memory, file.write(path, view));
  const auto description = describe(state, memory, file);
  UVMM_CHECK(replace_state(directory, description));
  unfinished.keep();
  UVMM_CHECK(lock.sync());
  remove_others(directory, file.name());
  written.state = description.size();
  return written;
}

Result<SavedImage> read_snapshot(const std::string& directory) {
  SavedImage saved;
  UVMM_TRY(saved.description, read_file(path_in(directory, kStateFile), kMostState));
  MemoryFile file;
  ImageLayout layout;
  if (auto read = read_sections(saved.description, file, layout); !read) {
    return std::move(read).error().with_context("snapshot " + directory);
  }
  UVMM_TRY(const auto object, file.open(directory));
  UVMM_CHECK(file.check_sums(*object));
  const std::vector<MemoryObject> objects{object};
  UVMM_TRY(saved.memory, layout.resolve(objects));
  return saved;
}

}  // namespace vmm::snapshot

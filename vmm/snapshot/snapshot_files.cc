#include "vmm/snapshot/snapshot_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "ept/host/file_object.h"
#include "vmm/devices/state.h"
#include "vmm/kvm/fd.h"
#include "vmm/snapshot/field_lists.h"
#include "vmm/snapshot/image_layout.h"
#include "vmm/snapshot/section_fields.h"

namespace vmm::snapshot {
namespace {

namespace fs = std::filesystem;
using uvm::Error;
using uvm::ErrorKind;
using uvm::Result;
using uvm::Status;

constexpr std::uint64_t kChunk = std::uint64_t{1} << 20;
constexpr std::uint64_t kMostState = std::uint64_t{1} << 30;
constexpr const char* kStateFile = "state";
constexpr std::string_view kMemoryPrefix = "memory-";

/// The file of the memory that goes with a state.
class MemoryFile final : public devices::Stateful {
 public:
  [[nodiscard]] std::string_view state_name() const override { return "memory-file"; }
  void state(devices::StateFields& fields) override {
    const auto text = std::as_bytes(std::span(name));
    std::vector<std::byte> raw(text.begin(), text.end());
    fields.blob(raw, 64);
    name.assign(reinterpret_cast<const char*>(raw.data()), raw.size());
    fields.require(name.starts_with(kMemoryPrefix) && name.find('/') == std::string::npos &&
                       name.find('\0') == std::string::npos,
                   "file");
    fields.field(bytes);
    list(fields, sums, std::size_t{1} << 32, "sums");
    fields.require(sums.size() == (bytes + kChunk - 1) / kChunk, "number of sums");
  }

  std::string name;
  std::uint64_t bytes = 0;
  std::vector<std::uint64_t> sums;  // of each chunk; 0: it is all zeros
};

bool all_zeros(std::span<const std::byte> bytes) {
  return bytes.front() == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

/// Never 0 but for zeros.
std::uint64_t sum_of(std::span<const std::byte> chunk) {
  if (all_zeros(chunk)) return 0;
  return std::max<std::uint64_t>(XXH3_64bits(chunk.data(), chunk.size()), 1);
}

Error failed(const std::string& path, const char* doing) {
  return Error::from_errno(errno, "snapshot: " + std::string(doing) + " " + path,
                           errno == ENOSPC ? "the disk is full; the snapshot before is as it was" : "");
}

Status write_all(const Fd& fd, const std::string& path, std::span<const std::byte> bytes, std::uint64_t at) {
  while (!bytes.empty()) {
    const ssize_t done = ::pwrite(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return failed(path, "writing");
    bytes = bytes.subspan(static_cast<std::size_t>(done));
    at += static_cast<std::uint64_t>(done);
  }
  return uvm::ok();
}

Result<Fd> create_file(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return failed(path, "making");
  return fd;
}

/// Removes a file that did not become part of a snapshot.
class Unfinished {
 public:
  explicit Unfinished(std::string path) : path_(std::move(path)) {}
  ~Unfinished() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
  void keep() { path_.clear(); }

 private:
  std::string path_;
};

Status sync(const Fd& fd, const std::string& path) {
  if (::fsync(fd.get()) != 0) return failed(path, "writing");
  return uvm::ok();
}

/// Page by page, but holes for zeros.
Result<std::uint64_t> write_chunk(const Fd& fd, const std::string& path, std::span<const std::byte> chunk,
                                  std::uint64_t at) {
  std::uint64_t written = 0;
  for (std::size_t i = 0; i < chunk.size();) {
    std::size_t end = i;
    while (end < chunk.size() && !all_zeros(chunk.subspan(end, uvm::kPageSize))) end += uvm::kPageSize;
    UVMM_CHECK(write_all(fd, path, chunk.subspan(i, end - i), at + i));
    written += end - i;
    i = end + uvm::kPageSize;
  }
  return written;
}

/// The bytes of RAM between two addresses; zeros where there is none.
void read_chunk(const ImageView& view, std::uint64_t at, std::span<std::byte> chunk) {
  std::ranges::fill(chunk, std::byte{0});
  const uvm::GpaRange whole = *uvm::GpaRange::from_size(uvm::Gpa(at), chunk.size());
  for (const MemoryRegion& region : view.image().regions) {
    const uvm::GpaRange part = region.range.intersection(whole);
    if (!part.empty()) view.read(part.begin(), chunk.subspan(part.begin().value() - at, part.size()));
  }
}

Result<std::uint64_t> write_memory(const std::string& path, const ImageView& view, MemoryFile& file) {
  UVMM_TRY(const Fd fd, create_file(path));
  if (::ftruncate(fd.get(), static_cast<off_t>(file.bytes)) != 0) return failed(path, "writing");
  std::vector<std::byte> buffer(kChunk);
  std::uint64_t written = 0;
  for (std::uint64_t at = 0; at < file.bytes; at += kChunk) {
    const auto chunk = std::span(buffer).first(std::min(kChunk, file.bytes - at));
    read_chunk(view, at, chunk);
    file.sums.push_back(sum_of(chunk));
    if (file.sums.back() == 0) continue;
    UVMM_TRY(const std::uint64_t bytes, write_chunk(fd, path, chunk, at));
    written += bytes;
  }
  UVMM_CHECK(sync(fd, path));
  return written;
}

/// The state with where the memory is; RAM lies in the file at its guest-physical addresses.
std::vector<std::byte> describe(std::span<const std::byte> state, const MemoryImage& memory,
                                MemoryFile& file) {
  SectionWriter writer;
  ImageLayout layout;
  if (const auto table = SectionTable::read(state)) {
    for (const Section& section : table->all()) {
      if (section.name != layout.state_name() && section.name != file.state_name()) writer.add(section);
    }
  }
  layout = ImageLayout::of_file(memory);
  save(writer, layout, 0, Unknown::Skip);
  save(writer, file, 0, Unknown::Skip);
  return std::move(writer).finish();
}

Status replace_state(const std::string& directory, std::span<const std::byte> bytes) {
  const std::string path = directory + "/" + kStateFile;
  const std::string fresh = path + "." + std::to_string(::getpid());
  ::unlink(fresh.c_str());
  Unfinished unfinished(fresh);
  UVMM_TRY(const Fd fd, create_file(fresh));
  UVMM_CHECK(write_all(fd, fresh, bytes, 0));
  UVMM_CHECK(sync(fd, fresh));
  if (::rename(fresh.c_str(), path.c_str()) != 0) return failed(path, "replacing");
  unfinished.keep();
  const Fd folder(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return folder ? sync(folder, directory) : Status(failed(directory, "opening"));
}

/// A name that no file there has.
std::string fresh_name(const std::string& directory) {
  for (std::uint64_t number = 1;; ++number) {
    const std::string name = std::string(kMemoryPrefix) + std::to_string(number);
    if (::access((directory + "/" + name).c_str(), F_OK) != 0) return name;
  }
}

/// Memory that no state names any more.
void remove_others(const std::string& directory, const std::string& keep) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename();
    if (name.starts_with(kMemoryPrefix) && name != keep) ::unlink(entry.path().c_str());
  }
}

Result<std::vector<std::byte>> read_file(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0) return failed(path, "opening");
  if (!S_ISREG(info.st_mode) || static_cast<std::uint64_t>(info.st_size) > kMostState) {
    return Error(ErrorKind::Invalid, "snapshot: " + path + " is no machine's state");
  }
  std::vector<std::byte> bytes(static_cast<std::size_t>(info.st_size));
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t got = ::pread(fd.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return failed(path, "reading");
    done += static_cast<std::size_t>(got);
  }
  return bytes;
}

/// Whether there is anything but a hole.
bool has_data(int fd, std::uint64_t at, std::uint64_t bytes) {
  const off_t data = ::lseek(fd, static_cast<off_t>(at), SEEK_DATA);
  return data >= 0 ? static_cast<std::uint64_t>(data) < at + bytes : errno != ENXIO;
}

Status check_sums(const ept::host::FileObject& object, const std::string& path, const MemoryFile& file) {
  std::vector<std::byte> buffer(kChunk);
  for (std::size_t i = 0; i < file.sums.size(); ++i) {
    const std::uint64_t at = i * kChunk;
    const auto chunk = std::span(buffer).first(std::min(kChunk, file.bytes - at));
    if (file.sums[i] == 0 && !has_data(object.fd(), at, chunk.size())) continue;
    for (std::size_t done = 0; done < chunk.size();) {
      const ssize_t got =
          ::pread(object.fd(), chunk.data() + done, chunk.size() - done, static_cast<off_t>(at + done));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return failed(path, "reading");
      done += static_cast<std::size_t>(got);
    }
    if (sum_of(chunk) != file.sums[i]) {
      return Error(ErrorKind::Invalid, "snapshot: " + path + " is damaged at byte " + std::to_string(at));
    }
  }
  return uvm::ok();
}

}  // namespace

Result<WrittenBytes> write_snapshot(const std::string& directory, std::span<const std::byte> state,
                                    const MemoryImage& memory) {
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) return failed(directory, "making");
  UVMM_TRY(const ImageView view, ImageView::create(memory));
  MemoryFile file;
  file.name = fresh_name(directory);
  file.bytes = memory.regions.empty() ? 0 : memory.regions.back().range.end().value();
  const std::string path = directory + "/" + file.name;
  Unfinished unfinished(path);
  WrittenBytes written;
  UVMM_TRY(written.memory, write_memory(path, view, file));
  const auto description = describe(state, memory, file);
  UVMM_CHECK(replace_state(directory, description));
  unfinished.keep();
  remove_others(directory, file.name);
  written.state = description.size();
  return written;
}

Result<SavedImage> read_snapshot(const std::string& directory) {
  SavedImage saved;
  UVMM_TRY(saved.description, read_file(directory + "/" + kStateFile));
  UVMM_TRY(const auto table, SectionTable::read(saved.description));
  MemoryFile file;
  UVMM_CHECK(restore(table, file));
  ImageLayout layout;
  UVMM_CHECK(restore(table, layout));
  const std::string path = directory + "/" + file.name;
  UVMM_TRY(auto object, ept::host::FileObject::open(path));
  if (object->size() != file.bytes) {
    return Error(ErrorKind::Invalid, "snapshot: " + path + " has " + std::to_string(object->size()) +
                                         " bytes of " + std::to_string(file.bytes));
  }
  UVMM_CHECK(check_sums(*object, path, file));
  const std::vector<MemoryObject> objects{MemoryObject(std::move(object))};
  UVMM_TRY(saved.memory, layout.resolve(objects));
  return saved;
}

}  // namespace vmm::snapshot

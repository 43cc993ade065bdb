#include "vmm/snapshot/memory_file.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "uvm/base/runs.h"
#include "vmm/snapshot/disk_file.h"
#include "vmm/snapshot/field_lists.h"

namespace vmm::snapshot {
namespace {

using uvm::Error;
using uvm::ErrorKind;
using uvm::Result;
using uvm::Status;

constexpr std::uint64_t kChunk = MemorySums::kChunk;
/// A few milliseconds, when it is in the page cache.
constexpr std::uint64_t kCheckedAtFirst = 4 * kChunk;
constexpr std::size_t kLongestName = 32;

std::uint64_t chunks_in(std::uint64_t bytes) {
  return bytes / kChunk + (bytes % kChunk != 0 ? 1 : 0);
}

/// "memory-" and digits: it is part of a path, and of lines that people read.
bool is_memory_name(std::string_view name) {
  if (!name.starts_with(kMemoryPrefix) || name.size() > kLongestName) return false;
  const std::string_view number = name.substr(kMemoryPrefix.size());
  return !number.empty() && std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; });
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

/// Pages that are the same in both become holes, the others are told of.
void keep_own(std::span<std::byte> chunk, std::span<const std::byte> base, std::uint64_t at,
              std::vector<uvm::GpaRange>& own) {
  for (std::size_t i = 0; i < chunk.size(); i += uvm::kPageSize) {
    const auto page = chunk.subspan(i, uvm::kPageSize);
    if (std::memcmp(page.data(), base.data() + i, page.size()) != 0) {
      append_run(own, uvm::GpaRange::page_of(uvm::Gpa(at + i)));
    } else {
      std::ranges::fill(page, std::byte{0});
    }
  }
}

}  // namespace

void MemoryFile::state(devices::StateFields& fields) {
  text(fields, name_, kLongestName);
  fields.require(is_memory_name(name_), "file");
  fields.field(bytes_);
  list(fields, sums_, std::size_t{1} << 32, "sums");
  fields.require(sums_.size() == chunks_in(bytes_), "number of sums");
  if (fields.version() < 2) return;
  fields.field(packing_);
  fields.require(packing_ <= Packing::Zstd, "packing");
  list(fields, frames_, std::size_t{1} << 32, "frames");
  fields.require(frames_.size() == (packing_ == Packing::Zstd ? sums_.size() : 0), "number of frames");
  for (std::size_t i = 0; i < std::min(frames_.size(), sums_.size()); ++i) {
    fields.require((frames_[i] == 0) == (sums_[i] == 0) && frames_[i] <= 2 * kChunk, "frame");
  }
}

Result<MemoryFile::Written> MemoryFile::write(const std::string& path, const ImageView& view,
                                              const ImageView* base, const Progress& progress) {
  UVMM_TRY(const Fd fd, create_file(path));
  PackedWriter packed(fd, path);
  if (packing_ == Packing::None && ::ftruncate(fd.get(), static_cast<off_t>(bytes_)) != 0) {
    return file_error(path, "writing");
  }
  std::vector<std::byte> buffer(kChunk);
  std::vector<std::byte> base_buffer(base != nullptr ? kChunk : 0);
  Written written;
  for (std::uint64_t at = 0; at < bytes_; at += kChunk) {
    const auto chunk = std::span(buffer).first(std::min(kChunk, bytes_ - at));
    if (progress) progress(at, bytes_);
    read_chunk(view, at, chunk);
    if (base != nullptr) {
      const auto there = std::span(base_buffer).first(chunk.size());
      read_chunk(*base, at, there);
      keep_own(chunk, there, at, written.own);
    }
    sums_.push_back(chunk_sum(chunk));
    const bool is_zeros = sums_.back() == 0;
    if (packing_ == Packing::Zstd) {
      UVMM_CHECK(packed.add(chunk.first(is_zeros ? 0 : chunk.size())));
      continue;
    }
    if (is_zeros) continue;
    UVMM_TRY(const std::uint64_t bytes, write_chunk(fd, path, chunk, at));
    written.bytes += bytes;
  }
  if (packing_ == Packing::Zstd) {
    UVMM_TRY(frames_, std::move(packed).finish());
    written.bytes = packed_bytes(frames_);
  }
  UVMM_CHECK(sync(fd, path));
  return written;
}

Result<std::shared_ptr<ept::host::FileObject>> MemoryFile::open_at(const std::string& path) const {
  auto object = ept::host::FileObject::open(path, ept::host::FileAccess::ReadOnly, uvm::Tenure::Kept);
  if (!object) return std::move(object).error().with_context("snapshot");
  if ((*object)->size() == file_bytes()) return std::shared_ptr<ept::host::FileObject>(*std::move(object));
  return Error(ErrorKind::Invalid, "snapshot: " + path + " has " + std::to_string((*object)->size()) +
                                       " bytes of " + std::to_string(file_bytes()));
}

Result<MemoryObject> MemoryFile::memory_in(std::shared_ptr<ept::host::FileObject> file, Verify verify,
                                           std::vector<MemorySums>& unchecked) const {
  if (packing_ == Packing::Zstd) return unpack(file->fd(), file->path(), {bytes_, kChunk, frames_, sums_});
  if (verify != Verify::State) {
    MemorySums sums(file, bytes_, sums_);
    UVMM_CHECK(sums.check(verify == Verify::All ? MemorySums::kAll : kCheckedAtFirst));
    if (!sums.done()) unchecked.push_back(std::move(sums));
  }
  return MemoryObject(std::move(file));
}

}  // namespace vmm::snapshot

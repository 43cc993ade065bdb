#include "vmm/snapshot/memory_sums.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "vmm/snapshot/disk_file.h"
#include "vmm/snapshot/packed_file.h"

namespace vmm::snapshot {
namespace {

/// Whether there is anything but a hole.
bool has_data(int fd, std::uint64_t at, std::uint64_t bytes) {
  const off_t data = ::lseek(fd, static_cast<off_t>(at), SEEK_DATA);
  return data >= 0 ? static_cast<std::uint64_t>(data) < at + bytes : errno != ENXIO;
}

}  // namespace

MemorySums::MemorySums(std::shared_ptr<ept::host::FileObject> file, std::uint64_t bytes,
                       std::vector<std::uint64_t> sums)
    : file_(std::move(file)), bytes_(bytes), sums_(std::move(sums)) {}

uvm::Status MemorySums::check(std::uint64_t most) {
  std::vector<std::byte> buffer(kChunk);
  for (std::uint64_t read = 0; next_ < sums_.size() && read < most; ++next_) {
    const std::uint64_t at = next_ * kChunk;
    const auto chunk = std::span(buffer).first(std::min(kChunk, bytes_ - at));
    if (sums_[next_] == 0 && !has_data(file_->fd(), at, chunk.size())) continue;
    UVMM_CHECK(read_all(file_->fd(), file_->path(), chunk, at));
    if (chunk_sum(chunk) != sums_[next_]) return damaged(file_->path(), at);
    read += chunk.size();
  }
  return uvm::ok();
}

}  // namespace vmm::snapshot

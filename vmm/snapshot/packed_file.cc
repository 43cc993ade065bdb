#include "vmm/snapshot/packed_file.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <iterator>
#include <numeric>
#include <string_view>
#include <thread>
#include <utility>

#include "ept/host/frozen_object.h"
#include "ept/host/ram_object.h"
#include "ept/host/shared_view.h"
#include "uvm/base/lock.h"
#include "vmm/snapshot/disk_file.h"
#include "vmm/swap/cluster_codec.h"

namespace vmm::snapshot {
namespace {

using uvm::Status;

constexpr std::string_view kPackedMagic = "uvmm memory, in frames of zstd\n";

/// Chunks that are packed together: enough that no thread waits long for another.
constexpr std::size_t kTogether = 16;

unsigned thread_count(std::size_t jobs) {
  constexpr unsigned kMost = 8;
  return std::min({std::max(std::thread::hardware_concurrency(), 1U), kMost, static_cast<unsigned>(jobs)});
}

/// Does job(codec, 0) … job(codec, jobs - 1), on several threads. What fails first is what is told; the
/// others end soon after.
Status on_threads(std::size_t jobs, const std::function<Status(ClusterCodec&, std::size_t)>& job) {
  std::atomic<std::size_t> next{0};
  uvm::Mutex mutex(uvm::LockRank::Leaf);
  Status outcome = uvm::ok();
  const auto work = [&] {
    ClusterCodec codec;
    for (std::size_t i = next++; i < jobs; i = next++) {
      Status done = job(codec, i);
      if (done) continue;
      next = jobs;
      const uvm::MutexLock lock(mutex);
      if (outcome) outcome = std::move(done);
    }
  };
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 1; i < thread_count(jobs); ++i) threads.emplace_back(work);
    work();
  }
  return outcome;
}

/// The frame of a chunk; none for zeros, which came as an empty one.
uvm::Result<std::vector<std::byte>> pack(ClusterCodec& codec, std::span<const std::byte> chunk) {
  std::vector<std::byte> frame;
  if (chunk.empty()) return frame;
  // What cannot be compressed grows by a little.
  frame.resize(chunk.size() + chunk.size() / 64 + 1024);
  const auto size = codec.compress(chunk, frame);
  if (!size) return uvm::Error(uvm::ErrorKind::NoMemory, "snapshot: compressing memory");
  frame.resize(*size);
  return frame;
}

}  // namespace

std::uint64_t packed_bytes(const FrameSizes& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), std::uint64_t{kPackedMagic.size()});
}

std::uint64_t chunk_sum(std::span<const std::byte> chunk) {
  if (all_zeros(chunk)) return 0;
  return std::max<std::uint64_t>(XXH3_64bits(chunk.data(), chunk.size()), 1);
}

PackedWriter::PackedWriter(const Fd& fd, const std::string& path)
    : fd_(fd), path_(path), at_(kPackedMagic.size()) {}

Status PackedWriter::add(std::span<const std::byte> chunk) {
  waiting_.emplace_back(chunk.begin(), chunk.end());
  return waiting_.size() < kTogether ? uvm::ok() : flush();
}

Status PackedWriter::flush() {
  const auto pack_one = [&](ClusterCodec& codec, std::size_t i) -> Status {
    UVMM_TRY(waiting_[i], pack(codec, waiting_[i]));
    return uvm::ok();
  };
  UVMM_CHECK(on_threads(waiting_.size(), pack_one));
  for (const auto& frame : waiting_) {
    UVMM_CHECK(write_all(fd_, path_, frame, at_));
    at_ += frame.size();
    sizes_.push_back(static_cast<std::uint32_t>(frame.size()));
  }
  waiting_.clear();
  return uvm::ok();
}

uvm::Result<FrameSizes> PackedWriter::finish() && {
  UVMM_CHECK(flush());
  UVMM_CHECK(write_all(fd_, path_, std::as_bytes(std::span(kPackedMagic)), 0));
  return std::move(sizes_);
}

uvm::Result<MemoryObject> unpack(int fd, const std::string& path, const PackedMemory& memory) {
  using ept::host::SharedView;
  std::vector<std::uint64_t> places;
  std::exclusive_scan(memory.frames.begin(), memory.frames.end(), std::back_inserter(places),
                      std::uint64_t{kPackedMagic.size()});
  std::array<std::byte, kPackedMagic.size()> magic{};
  UVMM_CHECK(read_all(fd, path, magic, 0));
  if (!std::ranges::equal(magic, std::as_bytes(std::span(kPackedMagic)))) return damaged(path, 0);
  UVMM_TRY(auto object, ept::host::RamObject::create(path, memory.bytes, ept::host::HugePages::Never));
  {
    UVMM_TRY(SharedView view, SharedView::reserve(memory.bytes));
    UVMM_CHECK(view.show(0, memory.bytes, object->fd(), 0, SharedView::Access::ReadWrite));
    const auto unpack_one = [&](ClusterCodec& codec, std::size_t i) -> Status {
      if (memory.frames[i] == 0) return uvm::ok();
      const std::uint64_t at = i * memory.chunk;
      const auto chunk = view.bytes().subspan(at, std::min(memory.chunk, memory.bytes - at));
      std::vector<std::byte> frame(memory.frames[i]);
      UVMM_CHECK(read_all(fd, path, frame, places[i]));
      if (codec.decompress(frame, chunk) && chunk_sum(chunk) == memory.sums[i]) return uvm::ok();
      return damaged(path, places[i]);
    };
    UVMM_CHECK(on_threads(memory.frames.size(), unpack_one));
  }  // a mapping for writing keeps it from being sealed
  UVMM_TRY(auto frozen, ept::host::FrozenObject::freeze(*object, path));
  UVMM_CHECK(frozen->seal());
  return MemoryObject(std::move(frozen));
}

}  // namespace vmm::snapshot

#include <algorithm>
#include <cstring>
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "uvm/base/lock.h"
#include "uvm/base/units.h"
#include "vmm/swap/aligned_bytes.h"
#include "vmm/swap/cluster_codec.h"
#include "vmm/swap/slot_map.h"
#include "vmm/swap/swap_area.h"
#include "vmm/swap/swap_disk.h"

namespace vmm {
namespace {

using uvm::kPageSize;

/// Pages compressed together. More compress better, and one page of them costs more to read.
constexpr std::uint64_t kClusterPages = 16;
/// Slots for each page of the disk: as many as a page can hold when all compress to nothing.
constexpr std::uint64_t kSlotsForEach = kClusterPages;

/// A cluster that does not get at least a page smaller is stored as it is. Its slots and its space are free
/// when the last of its pages is.
class PackedArea final : public SwapArea {
 public:
  explicit PackedArea(SwapDisk& disk)
      : disk_(disk), blocks_(disk.bytes() / kPageSize), slots_(disk.bytes() / kPageSize * kSlotsForEach) {}

  [[nodiscard]] uvm::Result<std::uint64_t> write(std::span<const std::byte> pages) override;
  [[nodiscard]] uvm::Status read(std::uint64_t first, std::span<std::byte> pages) override;
  void free(std::uint64_t first, std::uint64_t count) override;
  [[nodiscard]] std::uint64_t place_of(std::uint64_t slot) const override;
  [[nodiscard]] std::uint64_t used() const override;
  [[nodiscard]] std::uint64_t metadata_bytes() const override;

 private:
  struct Cluster {
    std::uint64_t block = 0;   // first page on the disk
    std::uint32_t pages = 0;   // that it was made of
    std::uint32_t live = 0;    // of these, not freed
    std::uint32_t packed = 0;  // bytes; 0: not compressed
    [[nodiscard]] std::uint64_t blocks() const {
      return packed == 0 ? pages : (packed + kPageSize - 1) / kPageSize;
    }
  };
  using Clusters = std::map<std::uint64_t, Cluster>;  // by first slot
  struct Workspace {
    ClusterCodec codec;
    AlignedBytes packed{kClusterPages * kPageSize};
    AlignedBytes pages{kClusterPages * kPageSize};
  };

  [[nodiscard]] uvm::Status write_cluster(std::uint64_t first, std::span<const std::byte> pages,
                                          Workspace& work);
  [[nodiscard]] uvm::Status read_cluster(const Cluster& cluster, std::uint64_t skip,
                                         std::span<std::byte> pages, Workspace& work);
  [[nodiscard]] Clusters::const_iterator holder(std::uint64_t slot) const REQUIRES(mutex_);
  void free_locked(std::uint64_t first, std::uint64_t count) REQUIRES(mutex_);
  [[nodiscard]] uvm::Status with_workspace(const std::function<uvm::Status(Workspace&)>& use);

  SwapDisk& disk_;
  mutable uvm::Mutex mutex_{uvm::LockRank::Leaf};
  SlotMap blocks_ GUARDED_BY(mutex_);
  SlotMap slots_ GUARDED_BY(mutex_);
  Clusters clusters_ GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<Workspace>> idle_ GUARDED_BY(mutex_);
};

uvm::Status PackedArea::with_workspace(const std::function<uvm::Status(Workspace&)>& use) {
  std::unique_ptr<Workspace> work;
  {
    const uvm::MutexLock lock(mutex_);
    if (!idle_.empty()) {
      work = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (work == nullptr) work = std::make_unique<Workspace>();
  if (work->packed.bytes().empty() || work->pages.bytes().empty()) {
    return uvm::Error(uvm::ErrorKind::NoMemory, disk_.name() + ": no memory to compress in");
  }
  auto status = use(*work);
  const uvm::MutexLock lock(mutex_);
  idle_.push_back(std::move(work));
  return status;
}

uvm::Result<std::uint64_t> PackedArea::write(std::span<const std::byte> pages) {
  constexpr std::size_t kMost = kClusterPages * kPageSize;
  const std::uint64_t count = pages.size() / kPageSize;
  std::uint64_t first = 0;
  {
    const uvm::MutexLock lock(mutex_);
    const auto taken = slots_.take(count);
    if (!taken) return swap_is_full(disk_, blocks_.used(), count);
    first = *taken;
  }
  std::size_t done = 0;
  auto status = with_workspace([&](Workspace& work) -> uvm::Status {
    while (done < pages.size()) {
      const auto cluster = pages.subspan(done, std::min(kMost, pages.size() - done));
      UVMM_CHECK(write_cluster(first + done / kPageSize, cluster, work));
      done += cluster.size();
    }
    return uvm::ok();
  });
  if (!status) {
    const uvm::MutexLock lock(mutex_);
    free_locked(first, done / kPageSize);
    slots_.free(first + done / kPageSize, count - done / kPageSize);
    return std::move(status).error();
  }
  return first;
}

uvm::Status PackedArea::write_cluster(std::uint64_t first, std::span<const std::byte> pages,
                                      Workspace& work) {
  Cluster cluster;
  cluster.pages = cluster.live = static_cast<std::uint32_t>(pages.size() / kPageSize);
  const auto packed = work.codec.compress(pages, work.packed.bytes().first(pages.size() - kPageSize));
  std::span<const std::byte> stored = pages;
  if (packed) {
    cluster.packed = static_cast<std::uint32_t>(*packed);
    const auto whole = work.packed.bytes().first(cluster.blocks() * kPageSize);
    std::ranges::fill(whole.subspan(*packed), std::byte{0});
    stored = whole;
  }
  {
    const uvm::MutexLock lock(mutex_);
    const auto block = blocks_.take(cluster.blocks());
    if (!block) return swap_is_full(disk_, blocks_.used(), cluster.blocks());
    cluster.block = *block;
  }
  auto status = disk_.write(cluster.block * kPageSize, stored);
  const uvm::MutexLock lock(mutex_);
  if (status) {
    clusters_.emplace(first, cluster);
  } else {
    blocks_.free(cluster.block, cluster.blocks());
  }
  return status;
}

PackedArea::Clusters::const_iterator PackedArea::holder(std::uint64_t slot) const {
  const auto next = clusters_.upper_bound(slot);
  if (next == clusters_.begin()) return clusters_.end();
  const auto found = std::prev(next);
  return slot < found->first + found->second.pages ? found : clusters_.end();
}

uvm::Status PackedArea::read(std::uint64_t first, std::span<std::byte> pages) {
  return with_workspace([&](Workspace& work) -> uvm::Status {
    for (std::size_t done = 0; done < pages.size();) {
      const std::uint64_t slot = first + done / kPageSize;
      Cluster cluster;
      std::uint64_t skip = 0;
      {
        const uvm::MutexLock lock(mutex_);
        const auto found = holder(slot);
        if (found == clusters_.end()) {
          return uvm::Error(uvm::ErrorKind::Invalid,
                            disk_.name() + ": slot " + std::to_string(slot) + " is not in use");
        }
        cluster = found->second;
        skip = slot - found->first;
      }
      const std::size_t size = std::min((cluster.pages - skip) * kPageSize, pages.size() - done);
      UVMM_CHECK(read_cluster(cluster, skip, pages.subspan(done, size), work));
      done += size;
    }
    return uvm::ok();
  });
}

uvm::Status PackedArea::read_cluster(const Cluster& cluster, std::uint64_t skip, std::span<std::byte> pages,
                                     Workspace& work) {
  if (cluster.packed == 0) return disk_.read((cluster.block + skip) * kPageSize, pages);
  const auto stored = work.packed.bytes().first(cluster.blocks() * kPageSize);
  UVMM_CHECK(disk_.read(cluster.block * kPageSize, stored));
  const auto whole = work.pages.bytes().first(cluster.pages * kPageSize);
  if (!work.codec.decompress(stored.first(cluster.packed), whole)) {
    return uvm::Error(uvm::ErrorKind::PagerIo,
                      disk_.name() + ": the cluster at offset " +
                          std::to_string(SwapDisk::kHeaderBytes + cluster.block * kPageSize) +
                          " is not what was written there",
                      "look at the disk; the guest's pages in it are lost");
  }
  const auto wanted = whole.subspan(skip * kPageSize, pages.size());
  std::memcpy(pages.data(), wanted.data(), wanted.size());
  return uvm::ok();
}

void PackedArea::free(std::uint64_t first, std::uint64_t count) {
  const uvm::MutexLock lock(mutex_);
  free_locked(first, count);
}

void PackedArea::free_locked(std::uint64_t first, std::uint64_t count) {
  for (std::uint64_t slot = first; slot < first + count;) {
    const auto found = holder(slot);
    if (found == clusters_.end()) return;
    Cluster& cluster = clusters_.at(found->first);
    const std::uint64_t here = std::min(found->first + cluster.pages, first + count) - slot;
    cluster.live -= static_cast<std::uint32_t>(here);
    slot += here;
    if (cluster.live != 0) continue;
    blocks_.free(cluster.block, cluster.blocks());
    slots_.free(found->first, cluster.pages);
    clusters_.erase(found);
  }
}

std::uint64_t PackedArea::place_of(std::uint64_t slot) const {
  const uvm::MutexLock lock(mutex_);
  const auto found = holder(slot);
  return found == clusters_.end() ? 0 : found->second.block * kPageSize;
}

std::uint64_t PackedArea::used() const {
  const uvm::MutexLock lock(mutex_);
  return blocks_.used() * kPageSize;
}

std::uint64_t PackedArea::metadata_bytes() const {
  constexpr std::uint64_t kNode = 40 + sizeof(Clusters::value_type);
  const uvm::MutexLock lock(mutex_);
  return clusters_.size() * kNode + (blocks_.size() + slots_.size()) / 8;
}

}  // namespace

std::unique_ptr<SwapArea> packed_area(SwapDisk& disk) {
  return std::make_unique<PackedArea>(disk);
}

}  // namespace vmm

// zstd for one cluster of pages at a time.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>

namespace vmm {

/// The working memory of one thread's compressing and decompressing, kept from cluster to cluster.
class ClusterCodec {
 public:
  ClusterCodec();
  ~ClusterCodec();
  ClusterCodec(const ClusterCodec&) = delete;
  ClusterCodec& operator=(const ClusterCodec&) = delete;

  /// The size of `pages` compressed into `room`; nothing when they do not fit, so that a room smaller than
  /// the pages asks whether it is worth it.
  [[nodiscard]] std::optional<std::size_t> compress(std::span<const std::byte> pages,
                                                    std::span<std::byte> room);
  /// False when `packed` is not what compress() made of `pages.size()` bytes.
  [[nodiscard]] bool decompress(std::span<const std::byte> packed, std::span<std::byte> pages);

 private:
  struct Contexts;
  std::unique_ptr<Contexts> contexts_;
};

}  // namespace vmm

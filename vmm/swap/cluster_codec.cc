#include "vmm/swap/cluster_codec.h"

#include <zstd.h>

namespace vmm {
namespace {

/// The fastest of zstd's regular levels: a page waits for a disk, but a guest waits for the page.
constexpr int kLevel = 1;

}  // namespace

struct ClusterCodec::Contexts {
  struct Free {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  std::unique_ptr<ZSTD_CCtx, Free> packing{ZSTD_createCCtx()};
  std::unique_ptr<ZSTD_DCtx, Free> unpacking{ZSTD_createDCtx()};
};

ClusterCodec::ClusterCodec() : contexts_(std::make_unique<Contexts>()) {}
ClusterCodec::~ClusterCodec() = default;

std::optional<std::size_t> ClusterCodec::compress(std::span<const std::byte> pages,
                                                  std::span<std::byte> room) {
  if (contexts_->packing == nullptr) return std::nullopt;
  const std::size_t size = ZSTD_compressCCtx(contexts_->packing.get(), room.data(), room.size(), pages.data(),
                                             pages.size(), kLevel);
  if (ZSTD_isError(size) != 0) return std::nullopt;
  return size;
}

bool ClusterCodec::decompress(std::span<const std::byte> packed, std::span<std::byte> pages) {
  if (contexts_->unpacking == nullptr) return false;
  return ZSTD_decompressDCtx(contexts_->unpacking.get(), pages.data(), pages.size(), packed.data(),
                             packed.size()) == pages.size();
}

}  // namespace vmm

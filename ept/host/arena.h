// Private frames that more than one space of this process can map.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "ept/host/backing.h"
#include "uvm/base/lock.h"
#include "uvm/base/range.h"

namespace ept::host {

/// A memfd whose pages are handed out one by one. Thread-safe.
class Arena final : public Backing {
 public:
  /// Errors: NoMemory, System.
  static uvm::Result<std::unique_ptr<Arena>> create();
  /// The one that every pmap of this process shares; made at first use. Errors: as create().
  static uvm::Result<Arena*> of_process();

  /// A frame of zeros. Errors: NoMemory.
  [[nodiscard]] uvm::Result<uvm::Frame> allocate();
  /// Its bytes are gone, its number may be handed out again.
  void free(uvm::Frame frame);
  [[nodiscard]] uvm::Status write_page(std::uint64_t index, std::span<const std::byte> page) const;
  /// Frames handed out and not freed.
  [[nodiscard]] std::uint64_t used() const;

  [[nodiscard]] uvm::Result<uvm::FrameRun> get(const uvm::PagerRequest& request) override;
  [[nodiscard]] std::uint64_t size() const override;
  [[nodiscard]] uvm::Protection max_protection() const override { return uvm::Protection::All; }
  [[nodiscard]] std::string_view name() const override { return "arena"; }

 private:
  explicit Arena(UniqueFd fd);

  mutable uvm::Mutex mutex_{uvm::LockRank::Leaf};
  std::uint64_t pages_ GUARDED_BY(mutex_) = 0;
  std::uint64_t used_ GUARDED_BY(mutex_) = 0;
  std::vector<std::uint64_t> taken_ GUARDED_BY(mutex_);  // a bit a page
  std::size_t full_ GUARDED_BY(mutex_) = 0;              // no page of the words before this one is free
};

}  // namespace ept::host

// Guest RAM as an object of its own: pages that several spaces or processes can map.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "ept/host/backing.h"

namespace ept::host {

/// A sparse tmpfs file without a name. All its pages exist from the start (as holes that read as zeros), so a
/// fault never waits for it, and none goes before the object does: pins have nothing to ask for. Nobody can
/// change the size of a memfd, whoever gets its descriptor; the huge file has no seals, so give its
/// descriptor for writing to processes you trust. Thread-safe.
class RamObject final : public Backing {
 public:
  /// `size` in bytes, page-aligned, not 0. With HugePages::Want the file lives on a private tmpfs mount with
  /// 2 MiB pages, which needs CAP_SYS_ADMIN; where that is refused it is a memfd and fallback_reason() says
  /// why. Errors: Invalid, NoMemory, System.
  static uvm::Result<std::unique_ptr<RamObject>> create(std::string name, std::uint64_t size, HugePages huge);

  [[nodiscard]] uvm::Result<uvm::FrameRun> get(const uvm::PagerRequest& request) override;
  [[nodiscard]] std::uint64_t size() const override { return size_; }
  /// Without Write once it is frozen.
  [[nodiscard]] uvm::Protection max_protection() const override;
  [[nodiscard]] std::string_view name() const override { return name_; }

  /// Whether the host backs aligned parts with 2 MiB pages.
  [[nodiscard]] bool has_huge_pages() const { return huge_; }
  /// Why huge pages were wanted and are not there; empty otherwise.
  [[nodiscard]] const std::string& fallback_reason() const { return fallback_reason_; }

  [[nodiscard]] bool discard(uvm::ObjectOffset first, std::uint64_t pages) override;
  /// Gives whole pages back: they are zeros again. What the host refuses stays. Not once it is frozen.
  void drop(std::uint64_t offset, std::uint64_t size);

  /// For FrozenObject::freeze(): fd() becomes a descriptor that cannot write, under the same number, and no
  /// new writable mapping can be made. Returns the descriptor that can still seal a memfd; none of a huge
  /// file. Errors: Invalid (frozen already), System.
  [[nodiscard]] uvm::Result<UniqueFd> stop_writes();

 private:
  RamObject(UniqueFd fd, std::string name, std::uint64_t size, bool huge, std::string fallback_reason);

  std::string name_;
  std::uint64_t size_;
  bool huge_;
  std::atomic<bool> frozen_ = false;
  std::string fallback_reason_;
};

}  // namespace ept::host

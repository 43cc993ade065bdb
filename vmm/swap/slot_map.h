// Which slots of a swap file are taken.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace vmm {

/// A bitmap that gives out runs, next fit: what is written one after the other lies one behind the other, and
/// a freed hole is used again only when the end was reached. 1 bit a slot. Not thread-safe.
class SlotMap {
 public:
  explicit SlotMap(std::uint64_t slots);

  /// The first of `count` (at least 1) free slots in a row, which are now taken; nothing when there is no
  /// such run.
  [[nodiscard]] std::optional<std::uint64_t> take(std::uint64_t count);
  /// All of them must be taken.
  void free(std::uint64_t first, std::uint64_t count);
  /// Whether every slot of the run is taken; false for a run past the end.
  [[nodiscard]] bool taken(std::uint64_t first, std::uint64_t count) const;

  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] std::uint64_t used() const { return used_; }

 private:
  /// The first slot at or after `from`, below `end`, whose bit is `wanted`; `end` when there is none.
  [[nodiscard]] std::uint64_t find(std::uint64_t from, std::uint64_t end, bool wanted) const;
  [[nodiscard]] std::optional<std::uint64_t> search(std::uint64_t begin, std::uint64_t end,
                                                    std::uint64_t count) const;
  void set(std::uint64_t first, std::uint64_t count, bool value);

  std::uint64_t size_;
  std::uint64_t used_ = 0;
  std::uint64_t next_ = 0;
  std::vector<std::uint64_t> words_;
};

}  // namespace vmm

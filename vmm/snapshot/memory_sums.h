// What the bytes of a snapshot's memory file add up to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "ept/host/file_object.h"
#include "uvm/base/error.h"

namespace vmm::snapshot {

/// A file and the sums that its snapshot's state keeps of it, checked from its begin on in as many steps as
/// one likes. A value; not thread-safe.
class MemorySums {
 public:
  static constexpr std::uint64_t kChunk = std::uint64_t{1} << 20;  // bytes that one sum is of
  static constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();

  /// `sums`: of each chunk of the file's `bytes`, as chunk_sum() makes them; 0: it is all zeros.
  MemorySums(std::shared_ptr<ept::host::FileObject> file, std::uint64_t bytes,
             std::vector<std::uint64_t> sums);

  /// Reads and checks the next chunks that are no holes, about `most` bytes. Errors: Invalid (damaged; the
  /// place is named), System; then and after.
  [[nodiscard]] uvm::Status check(std::uint64_t most);
  [[nodiscard]] bool done() const { return next_ == sums_.size(); }

 private:
  std::shared_ptr<ept::host::FileObject> file_;
  std::uint64_t bytes_;
  std::vector<std::uint64_t> sums_;
  std::size_t next_ = 0;  // chunk
};

}  // namespace vmm::snapshot

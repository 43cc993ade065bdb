// Parts of files side by side: memory of another process, as one piece of this one's address space.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "uvm/base/error.h"

namespace ept::host {

/// Move-only; its end unmaps. Thread: one at a time.
class SharedView {
 public:
  enum class Access { Read, ReadWrite };

  /// Addresses for `size` bytes (whole pages, not none), with nothing there yet. Errors: NoMemory.
  [[nodiscard]] static uvm::Result<SharedView> reserve(std::uint64_t size);
  /// The first `size` bytes of a file, to be read. Errors: those of reserve() and show().
  [[nodiscard]] static uvm::Result<SharedView> of_file(int fd, std::uint64_t size);

  SharedView(SharedView&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  SharedView& operator=(SharedView&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  SharedView(const SharedView&) = delete;
  SharedView& operator=(const SharedView&) = delete;
  ~SharedView();

  /// Bytes [at, at + size) of the view show those from `offset` on of the file. `fd` may be closed
  /// afterwards. Errors: Invalid (outside the view), Permission, System.
  [[nodiscard]] uvm::Status show(std::uint64_t at, std::uint64_t size, int fd, std::uint64_t offset,
                                 Access access);
  /// Makes the pages of [at, at + size), which show() gave for writing, in one go: made by being touched they
  /// cost several times as much. What the host cannot do so is made that way still.
  void populate(std::uint64_t at, std::uint64_t size) const;
  /// Takes all pages out of the view, not out of their files: they come back when they are touched. Until
  /// then they are no part of what this process has in memory.
  void let_pages_go() const;
  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

 private:
  explicit SharedView(std::span<std::byte> bytes) : bytes_(bytes) {}
  std::span<std::byte> bytes_;
};

}  // namespace ept::host

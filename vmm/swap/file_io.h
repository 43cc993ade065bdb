// Positioned reads and writes of one file, by io_uring or by plain system calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "uvm/base/error.h"

namespace vmm {

/// How far a transfer got: all of it, or `done` bytes and then `error` (an errno; 0: the file ended).
struct IoOutcome {
  std::size_t done = 0;
  int error = 0;
};

/// Thread-safe; a call returns when its bytes are moved, and several calls go on side by side. With a
/// descriptor opened for direct I/O, memory, offset and size must be multiples of 4096.
class FileIo {
 public:
  FileIo() = default;
  FileIo(const FileIo&) = delete;
  FileIo& operator=(const FileIo&) = delete;
  virtual ~FileIo() = default;

  [[nodiscard]] virtual IoOutcome read(std::uint64_t offset, std::span<std::byte> to) = 0;
  [[nodiscard]] virtual IoOutcome write(std::uint64_t offset, std::span<const std::byte> from) = 0;
  /// For logs: "io_uring", "pread/pwrite".
  [[nodiscard]] virtual std::string_view name() const = 0;
};

/// pread(2) and pwrite(2). Does not own `fd`, which must outlive it.
[[nodiscard]] std::unique_ptr<FileIo> plain_file_io(int fd);

/// io_uring. Large transfers are cut in pieces that are under way together. As above for `fd`. Errors:
/// Permission, Unsupported, System (this kernel or container does not let a process have a ring).
[[nodiscard]] uvm::Result<std::unique_ptr<FileIo>> uring_file_io(int fd);

}  // namespace vmm

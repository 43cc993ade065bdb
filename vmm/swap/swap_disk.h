// The file behind a swap area: found or made, locked, and moved to and from past the page cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "uvm/base/error.h"
#include "vmm/kvm/fd.h"
#include "vmm/swap/file_io.h"

namespace vmm {

/// How to move bytes. Best is io_uring where this process may have a ring.
enum class IoEngine : std::uint8_t { Best, Plain };

/// `bytes` of space, numbered from 0, behind a header of one page. Thread-safe.
class SwapDisk {
 public:
  struct Options {
    std::string place;        // a directory: a file in it that nobody else can see; or the path of a file
    std::uint64_t bytes = 0;  // whole pages
    IoEngine engine = IoEngine::Best;
  };
  /// An existing file is only taken when it is empty or was made by this program, and nobody uses it: what it
  /// holds is lost. Errors: Invalid (something else is there), Busy (a machine uses it), NotFound,
  /// Permission, System.
  [[nodiscard]] static uvm::Result<std::unique_ptr<SwapDisk>> open(const Options& options);
  /// Gives the space of a file with a name back; the header stays.
  ~SwapDisk();
  SwapDisk(const SwapDisk&) = delete;
  SwapDisk& operator=(const SwapDisk&) = delete;

  /// `offset` and size are whole pages. Memory need not be aligned, but aligned memory is not copied. Errors:
  /// PagerIo, with file and offset; a part may have been moved.
  [[nodiscard]] uvm::Status read(std::uint64_t offset, std::span<std::byte> to);
  [[nodiscard]] uvm::Status write(std::uint64_t offset, std::span<const std::byte> from);

  /// "swap file /x/y", "deleted swap file in /var/tmp".
  [[nodiscard]] const std::string& name() const { return name_; }
  /// "direct, io_uring"; why it is not, if it is not.
  [[nodiscard]] std::string how() const;
  /// Not empty: why io_uring is not used although it was wanted.
  [[nodiscard]] const std::string& engine_reason() const { return engine_reason_; }
  /// The file is in memory (tmpfs): swapping to it gives nothing back.
  [[nodiscard]] bool in_memory() const { return in_memory_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  /// Where space offset 0 is in the file.
  static constexpr std::uint64_t kHeaderBytes = 4096;

 private:
  SwapDisk(Fd fd, std::string name, bool has_name, std::uint64_t bytes);
  [[nodiscard]] uvm::Status prepare();
  void choose_engine(IoEngine engine);
  [[nodiscard]] uvm::Error failed(const char* what, std::uint64_t offset, std::size_t size,
                                  IoOutcome outcome) const;

  const Fd fd_;
  const std::string name_;
  const bool has_name_;
  const std::uint64_t bytes_;
  bool direct_ = false;
  bool in_memory_ = false;
  std::string engine_reason_;
  std::unique_ptr<FileIo> io_;
};

}  // namespace vmm

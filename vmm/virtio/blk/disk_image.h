// The file or block device of the host that a disk is.
//
// One machine writes it, or any number read it: a lock on the open file (an OFD lock, as QEMU takes them, so
// that QEMU is kept out too) says so, and who comes second is told. A block device that is mounted here, or
// otherwise the kernel's, is not written either. The page cache of the host is used: what a guest writes is
// there at once, and on the storage when the guest has flushed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "uvm/base/error.h"
#include "vmm/kvm/fd.h"
#include "vmm/virtio/blk/geometry.h"
#include "vmm/virtio/blk/options.h"

namespace vmm::virtio::blk {

/// How a file looks from outside: whether it is what somebody left.
struct FileStamp {
  std::uint64_t bytes = 0;
  std::int64_t modified_ns = 0;  // since 1970; 0 for a block device

  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

/// Immutable, but for what is in the file. Thread-safe.
class DiskImage {
 public:
  /// Opens and locks what `options` name. Errors: NotFound, Permission, Invalid (no disk image, or not a raw
  /// one), Busy (another process has it), System.
  [[nodiscard]] static uvm::Result<std::shared_ptr<const DiskImage>> open(const Options& options);
  /// The open file that another machine has left to this one. Without a lock, unless the descriptor has one.
  /// Errors: Invalid.
  [[nodiscard]] static uvm::Result<std::shared_ptr<const DiskImage>> adopt(const Options& options, Fd fd);

  /// Another descriptor of the same open file, which has its lock. Errors: System.
  [[nodiscard]] uvm::Result<Fd> same_file() const;
  /// The same open file as it is by now; it may have grown. Errors: Invalid, System.
  [[nodiscard]] uvm::Result<std::shared_ptr<const DiskImage>> again() const;
  /// Whether the file at `path` is this one.
  [[nodiscard]] bool is_at(const std::string& path) const;

  [[nodiscard]] const Fd& fd() const { return fd_; }
  [[nodiscard]] const Options& options() const { return options_; }
  /// Of the moment it was opened; one queue.
  [[nodiscard]] const Geometry& geometry() const { return geometry_; }
  [[nodiscard]] bool is_block_device() const { return is_block_device_; }
  /// Whether the path names it; a copy that a fork has made for itself has no name.
  [[nodiscard]] bool has_name() const { return has_name_; }
  /// As it is now. Errors: System.
  [[nodiscard]] uvm::Result<FileStamp> stamp() const;

 private:
  DiskImage(Options options, Fd fd) : options_(std::move(options)), fd_(std::move(fd)) {}
  [[nodiscard]] uvm::Status look();
  [[nodiscard]] uvm::Status look_at_device();
  /// Once the image is this machine's to write.
  void look_at_discards();
  [[nodiscard]] uvm::Status look_at_contents() const;
  [[nodiscard]] uvm::Status lock() const;
  [[nodiscard]] uvm::Error refused(uvm::ErrorKind kind, const std::string& why,
                                   const std::string& way_out) const;

  const Options options_;
  const Fd fd_;
  Geometry geometry_;
  bool is_block_device_ = false;
  bool has_name_ = true;
};

}  // namespace vmm::virtio::blk

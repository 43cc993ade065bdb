// A file of the host as a memory object: kernels, initial RAM disks, firmware.
#pragma once

#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>

#include "ept/host/backing.h"

namespace ept::host {

/// Opened read-only and never written: guests get its pages shared for reading, or copy-on-write. Its pages
/// are the host's page cache, so two guests of one kernel share them. Thread-safe.
class FileObject final : public Backing {
 public:
  /// Regular files only (a FIFO or device has no pages to map). Errors: NotFound, Permission, Invalid (not a
  /// regular file, or empty), System.
  static uvm::Result<std::unique_ptr<FileObject>> open(std::string path);

  /// Errors besides those of the contract: PagerIo when the file is shorter now than when it was opened; a
  /// mapping of what was cut off would kill whoever touches it.
  [[nodiscard]] uvm::Result<uvm::FrameRun> get(const uvm::PagerRequest& request) override;
  /// Bytes when it was opened.
  [[nodiscard]] std::uint64_t size() const override { return size_; }
  [[nodiscard]] uvm::Protection max_protection() const override { return uvm::Protection::ReadExecute; }
  /// "file PATH"
  [[nodiscard]] std::string_view name() const override { return name_; }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::uint64_t inode() const { return inode_; }
  /// Whether size or modification time differ from what they were at open(): pages nobody copied yet show the
  /// new contents.
  [[nodiscard]] bool changed_since_open() const;

 private:
  FileObject(UniqueFd fd, std::string path, std::uint64_t size, std::uint64_t inode, timespec modified);

  std::string path_;
  std::string name_;
  std::uint64_t size_;
  std::uint64_t inode_;
  timespec modified_;
};

}  // namespace ept::host

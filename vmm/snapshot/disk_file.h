// Files of a snapshot on their way to the disk and back: errors that name the file, and nothing half done
// that stays.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/kvm/fd.h"

namespace vmm::snapshot {

/// Of errno: "snapshot: writing PATH: …".
[[nodiscard]] uvm::Error file_error(const std::string& path, const char* doing);

/// "snapshot: PATH is damaged at byte AT".
[[nodiscard]] uvm::Error damaged(const std::string& path, std::uint64_t at);

/// A new file, for its owner alone. Errors: System, Permission, NotFound.
[[nodiscard]] uvm::Result<Fd> create_file(const std::string& path);
[[nodiscard]] uvm::Status write_all(const Fd& fd, const std::string& path, std::span<const std::byte> bytes,
                                    std::uint64_t at);
/// Errors: Invalid (the file ends before), System.
[[nodiscard]] uvm::Status read_all(int fd, const std::string& path, std::span<std::byte> bytes,
                                   std::uint64_t at);
[[nodiscard]] uvm::Status sync(const Fd& fd, const std::string& path);
/// The whole of a regular file. Errors: NotFound, Permission, Invalid (no regular file, or more than `most`
/// bytes), System.
[[nodiscard]] uvm::Result<std::vector<std::byte>> read_file(const std::string& path, std::uint64_t most);

/// Removes a file that did not become part of a snapshot.
class Unfinished {
 public:
  explicit Unfinished(std::string path) : path_(std::move(path)) {}
  ~Unfinished();
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
  void keep() { path_.clear(); }

 private:
  std::string path_;
};

/// A directory that one writer has to itself until it is done, or dead.
class WriterLock {
 public:
  /// Makes the directory where there is none. Errors: Busy (somebody writes there), System, Permission.
  [[nodiscard]] static uvm::Result<WriterLock> take(const std::string& directory);
  /// What was renamed there stays renamed. Errors: System.
  [[nodiscard]] uvm::Status sync() const { return snapshot::sync(directory_, path_); }

 private:
  WriterLock(Fd directory, std::string path) : directory_(std::move(directory)), path_(std::move(path)) {}

  Fd directory_;
  std::string path_;
};

}  // namespace vmm::snapshot

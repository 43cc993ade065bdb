// A kernel or initrd file: its bytes for the parser, its pages for the guest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>

#include "ept/host/file_object.h"
#include "uvm/base/error.h"
#include "uvm/object.h"

namespace vmm {

/// Bytes of a file in memory of their own.
class FileCopy {
 public:
  [[nodiscard]] std::span<const std::byte> bytes() const { return {memory_.get(), size_}; }

 private:
  friend class BootFile;
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  std::size_t size_ = 0;
};

class BootFile {
 public:
  /// More than any header of a bzImage or an ELF file's beginning.
  static constexpr std::uint64_t kHeaderBytes = 64 * 1024;

  /// `role` ("kernel", "initrd") and the path head every error. Refuses what is missing, unreadable, empty,
  /// or no regular file.
  [[nodiscard]] static uvm::Result<BootFile> open(const std::string& path, const std::string& role);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::uint64_t size() const { return size_; }  // bytes, when it was opened
  /// A copy for a parser, as long as the file. Of a bzImage, whose parser reads nothing behind its headers,
  /// only the first kHeaderBytes are read, and the rest are zeros that cost no memory. Errors: NoMemory;
  /// PagerIo, also for a file that shrank since.
  [[nodiscard]] uvm::Result<FileCopy> read_for_parser() const;
  [[nodiscard]] uvm::Status read(std::uint64_t offset, std::span<std::byte> to) const;
  /// The file as a memory object; never written.
  [[nodiscard]] const std::shared_ptr<uvm::Object>& object() const { return object_; }

 private:
  BootFile(std::string path, std::string role, std::shared_ptr<ept::host::FileObject> file);

  std::string path_;
  std::string role_;
  std::shared_ptr<ept::host::FileObject> file_;
  std::shared_ptr<uvm::Object> object_;
  std::uint64_t size_;
};

}  // namespace vmm

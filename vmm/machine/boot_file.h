// A kernel or initrd file: its bytes for the parser, its pages for the guest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ept/host/file_object.h"
#include "uvm/base/error.h"
#include "uvm/object.h"

namespace vmm {

class BootFile {
 public:
  /// `role` ("kernel", "initrd") and the path head every error. Refuses what is missing, unreadable, empty,
  /// or no regular file.
  [[nodiscard]] static uvm::Result<BootFile> open(const std::string& path, const std::string& role);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::uint64_t size() const { return size_; }  // bytes, when it was opened
  /// A copy of the whole file. Errors: PagerIo, also for a file that shrank since.
  [[nodiscard]] uvm::Result<std::vector<std::byte>> read_all() const;
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

#include "vmm/machine/boot_file.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "guest/linux_bzimage.h"

namespace vmm {

uvm::Result<BootFile> BootFile::open(const std::string& path, const std::string& role) {
  auto file = ept::host::FileObject::open(path);
  if (!file) return std::move(file).error().with_context(role);
  if ((*file)->size() == 0) {
    return uvm::Error(uvm::ErrorKind::Invalid, role + " " + path + " is empty");
  }
  return BootFile(path, role, std::shared_ptr<ept::host::FileObject>(std::move(*file)));
}

BootFile::BootFile(std::string path, std::string role, std::shared_ptr<ept::host::FileObject> file)
    : path_(std::move(path)),
      role_(std::move(role)),
      file_(std::move(file)),
      object_(uvm::Object::create(file_)),
      size_(file_->size()) {}

uvm::Result<FileCopy> BootFile::read_for_parser() const {
  FileCopy copy;
  copy.size_ = size_;
  copy.memory_.reset(static_cast<std::byte*>(std::calloc(size_, 1)));
  if (!copy.memory_) {
    return uvm::Error(uvm::ErrorKind::NoMemory,
                      role_ + " " + path_ + ": no memory for its " + std::to_string(size_) + " bytes");
  }
  const std::span<std::byte> all(copy.memory_.get(), size_);
  const auto head = all.first(std::min(size_, kHeaderBytes));
  UVMM_CHECK(read(0, head));
  if (guest::is_bzimage(head)) return copy;
  UVMM_CHECK(read(head.size(), all.subspan(head.size())));
  return copy;
}

uvm::Status BootFile::read(std::uint64_t offset, std::span<std::byte> to) const {
  while (!to.empty()) {
    const ssize_t got = ::pread(file_->fd(), to.data(), to.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return uvm::Error::from_errno(errno, "reading " + role_ + " " + path_);
    if (got == 0) {
      return uvm::Error(uvm::ErrorKind::PagerIo,
                        role_ + " " + path_ + " became shorter than " + std::to_string(size_) + " bytes",
                        "do not change it while a guest starts");
    }
    offset += static_cast<std::uint64_t>(got);
    to = to.subspan(static_cast<std::size_t>(got));
  }
  return uvm::ok();
}

}  // namespace vmm

#include "ept/host/file_object.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "uvm/base/range.h"

namespace ept::host {

FileObject::FileObject(UniqueFd fd, std::string path, std::uint64_t size, std::uint64_t inode,
                       timespec modified)
    : Backing(std::move(fd), BackingKind::File),
      path_(std::move(path)),
      name_("file " + path_),
      size_(size),
      inode_(inode),
      modified_(modified) {}

uvm::Result<std::unique_ptr<FileObject>> FileObject::open(std::string path) {
  // O_NONBLOCK: opening a FIFO must fail below, not wait for a writer.
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid()) return uvm::Error::from_errno(errno, "file " + path);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return uvm::Error::from_errno(errno, "file " + path);
  if (!S_ISREG(status.st_mode)) {
    return uvm::Error(uvm::ErrorKind::Invalid, "file " + path + " is not a regular file",
                      "give the path of a regular file");
  }
  if (status.st_size <= 0) return uvm::Error(uvm::ErrorKind::Invalid, "file " + path + " is empty");
  return std::unique_ptr<FileObject>(new FileObject(std::move(fd), std::move(path),
                                                    static_cast<std::uint64_t>(status.st_size), status.st_ino,
                                                    status.st_mtim));
}

uvm::Result<uvm::FrameRun> FileObject::get(const uvm::PagerRequest& request) {
  if (request.access == uvm::AccessKind::Write) {
    return uvm::Error(uvm::ErrorKind::Protection, name_ + ": a write to the file itself",
                      "map it copy-on-write");
  }
  if (request.offset.value() >= size_) {
    return uvm::Error(uvm::ErrorKind::EndOfObject, name_ + ": offset " + uvm::to_string(request.offset) +
                                                       " is past its " + std::to_string(size_) + " bytes");
  }
  struct stat status {};
  if (::fstat(fd(), &status) != 0 || static_cast<std::uint64_t>(status.st_size) < size_) {
    return uvm::Error(uvm::ErrorKind::PagerIo,
                      name_ + ": was cut from " + std::to_string(size_) + " to " +
                          std::to_string(status.st_size) + " bytes while in use",
                      "replace files by renaming a new one over them");
  }
  const std::uint64_t first = request.offset.page();
  const std::uint64_t rest = (size_ + uvm::kPageSize - 1) / uvm::kPageSize - first;
  return uvm::FrameRun{{this, first}, std::clamp<std::uint64_t>(request.pages, 1, rest)};
}

bool FileObject::changed_since_open() const {
  struct stat status {};
  if (::fstat(fd(), &status) != 0) return true;
  return static_cast<std::uint64_t>(status.st_size) != size_ || status.st_mtim.tv_sec != modified_.tv_sec ||
         status.st_mtim.tv_nsec != modified_.tv_nsec;
}

}  // namespace ept::host

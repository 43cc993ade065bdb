#include "ept/host/file_object.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "uvm/base/range.h"

namespace ept::host {

FileObject::FileObject(UniqueFd fd, std::string path, FileAccess access, uvm::Tenure tenure,
                       const struct stat& status)
    : Backing(std::move(fd), BackingKind::File),
      path_(std::move(path)),
      name_("file " + path_),
      access_(access),
      tenure_(tenure),
      size_(static_cast<std::uint64_t>(status.st_size)),
      modified_(status.st_mtim) {}

uvm::Result<std::unique_ptr<FileObject>> FileObject::open(std::string path, FileAccess access,
                                                          uvm::Tenure tenure) {
  // O_NONBLOCK: opening a FIFO must fail below, not wait for a writer.
  const int mode = access == FileAccess::ReadWrite ? O_RDWR : O_RDONLY;
  UniqueFd fd(::open(path.c_str(), mode | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid()) return uvm::Error::from_errno(errno, "file " + path);
  return adopt(std::move(fd), std::move(path), tenure);
}

uvm::Result<std::unique_ptr<FileObject>> FileObject::adopt(UniqueFd fd, std::string path,
                                                           uvm::Tenure tenure) {
  struct stat status {};
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || ::fstat(fd.get(), &status) != 0) return uvm::Error::from_errno(errno, "file " + path);
  if (!S_ISREG(status.st_mode)) {
    return uvm::Error(uvm::ErrorKind::Invalid, "file " + path + " is not a regular file",
                      "give the path of a regular file");
  }
  if ((flags & O_PATH) != 0 || (flags & O_ACCMODE) == O_WRONLY) {
    return uvm::Error(uvm::ErrorKind::Permission, "file " + path + " is not open for reading",
                      "open it for reading, or for both");
  }
  if (status.st_size <= 0) return uvm::Error(uvm::ErrorKind::Invalid, "file " + path + " is empty");
  const auto access = (flags & O_ACCMODE) == O_RDWR ? FileAccess::ReadWrite : FileAccess::ReadOnly;
  return std::unique_ptr<FileObject>(new FileObject(std::move(fd), std::move(path), access, tenure, status));
}

std::uint64_t FileObject::present_size() const {
  struct stat status {};
  return ::fstat(fd(), &status) == 0 ? std::min(size_, static_cast<std::uint64_t>(status.st_size)) : 0;
}

uvm::Status FileObject::check_page(std::uint64_t index) const {
  const uvm::ObjectOffset offset(index << uvm::kPageShift);
  struct stat status {};
  if (::fstat(fd(), &status) != 0) {
    return uvm::Error(uvm::ErrorKind::PagerIo, name_ + ": offset " + uvm::to_string(offset) +
                                                   " cannot be had: " + std::strerror(errno));
  }
  if (offset.value() < static_cast<std::uint64_t>(status.st_size)) return uvm::ok();
  return uvm::Error(uvm::ErrorKind::PagerIo,
                    name_ + ": offset " + uvm::to_string(offset) + " is gone: it was cut from " +
                        std::to_string(size_) + " to " + std::to_string(status.st_size) +
                        " bytes while in use",
                    "replace files by renaming a new one over them");
}

uvm::Result<uvm::FrameRun> FileObject::get(const uvm::PagerRequest& request) {
  if (request.access == uvm::AccessKind::Write && access_ == FileAccess::ReadOnly) {
    return uvm::Error(uvm::ErrorKind::Protection, name_ + ": a write to the file itself",
                      "map it copy-on-write");
  }
  const std::uint64_t first = request.offset.page();
  if (request.offset.value() < size_) UVMM_CHECK(check_page(first));
  return run_of(request, present_size());
}

bool FileObject::changed_since_open() const {
  struct stat status {};
  if (::fstat(fd(), &status) != 0) return true;
  return static_cast<std::uint64_t>(status.st_size) != size_ || status.st_mtim.tv_sec != modified_.tv_sec ||
         status.st_mtim.tv_nsec != modified_.tv_nsec;
}

}  // namespace ept::host

#include "vmm/snapshot/disk_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace vmm::snapshot {

using uvm::Error;
using uvm::ErrorKind;
using uvm::Result;
using uvm::Status;

Error file_error(const std::string& path, const char* doing) {
  const bool is_full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
  return Error::from_errno(errno, "snapshot: " + std::string(doing) + " " + path,
                           is_full ? "make room; a snapshot that was there is as it was" : "");
}

uvm::Error damaged(const std::string& path, std::uint64_t at) {
  return uvm::Error(uvm::ErrorKind::Invalid,
                    "snapshot: " + path + " is damaged at byte " + std::to_string(at),
                    "take it from a whole snapshot of this uvmm");
}

Result<Fd> create_file(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return file_error(path, "making");
  return fd;
}

Status write_all(const Fd& fd, const std::string& path, std::span<const std::byte> bytes, std::uint64_t at) {
  while (!bytes.empty()) {
    const ssize_t done = ::pwrite(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return file_error(path, "writing");
    bytes = bytes.subspan(static_cast<std::size_t>(done));
    at += static_cast<std::uint64_t>(done);
  }
  return uvm::ok();
}

Status read_all(int fd, const std::string& path, std::span<std::byte> bytes, std::uint64_t at) {
  while (!bytes.empty()) {
    const ssize_t done = ::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return file_error(path, "reading");
    if (done == 0) {
      return Error(ErrorKind::Invalid,
                   "snapshot: " + path + " was cut at byte " + std::to_string(at) + " while it was read");
    }
    bytes = bytes.subspan(static_cast<std::size_t>(done));
    at += static_cast<std::uint64_t>(done);
  }
  return uvm::ok();
}

Status sync(const Fd& fd, const std::string& path) {
  if (::fsync(fd.get()) != 0) return file_error(path, "writing");
  return uvm::ok();
}

Result<std::vector<std::byte>> read_file(const std::string& path, std::uint64_t most) {
  // O_NONBLOCK: a FIFO is refused below, and nobody waits for its writer.
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0) return file_error(path, "opening");
  if (!S_ISREG(info.st_mode) || static_cast<std::uint64_t>(info.st_size) > most) {
    return Error(ErrorKind::Invalid, "snapshot: " + path + " is no machine's state");
  }
  std::vector<std::byte> bytes(static_cast<std::size_t>(info.st_size));
  UVMM_CHECK(read_all(fd.get(), path, bytes, 0));
  return bytes;
}

Unfinished::~Unfinished() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

Result<WriterLock> WriterLock::take(const std::string& directory) {
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) return file_error(directory, "making");
  Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return file_error(directory, "opening");
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return WriterLock(std::move(fd), directory);
  if (errno != EWOULDBLOCK) return file_error(directory, "locking");
  return Error(ErrorKind::Busy, "snapshot: somebody else is writing a snapshot into " + directory,
               "wait for it, or name another directory");
}

}  // namespace vmm::snapshot

#include "vmm/virtio/blk/disk_copy.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "vmm/text.h"

namespace vmm::virtio::blk {
namespace {

std::string name_of(const DiskImage& image) {
  return "disk " + image.options().id + ": " + one_line(image.options().path);
}

uvm::Error failed(const DiskImage& image, const char* what) {
  const int error = errno;
  return uvm::Error::from_errno(error, name_of(image) + ": " + what,
                                error == ENOSPC || error == EDQUOT ? "make room there" : "");
}

/// Where the open file is, whatever the directory that a path began from, and whether it has a name still.
std::string folder_of(const DiskImage& image) {
  std::error_code error;
  const auto file = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(image.fd().get()), error);
  return file.parent_path().string();
}

/// In the folder of the image, whose file system may share blocks with it.
uvm::Result<Fd> nameless_file(const DiskImage& image) {
  Fd fd(::open(folder_of(image).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!fd) return failed(image, "a file for the fork's own, in the same folder");
  return fd;
}

/// Runs of data, one by one; between them are holes.
uvm::Status copy_bytes(const DiskImage& image, int to) {
  const int from = image.fd().get();
  struct stat status {};
  if (::fstat(from, &status) != 0) return failed(image, "fstat");
  if (::ftruncate(to, status.st_size) != 0) return failed(image, "the size of the fork's own");
  off_t at = 0;
  while (at < status.st_size) {
    const off_t begin = ::lseek(from, at, SEEK_DATA);
    if (begin < 0 && errno == ENXIO) break;
    if (begin < 0) return failed(image, "looking for data");
    const off_t end = ::lseek(from, begin, SEEK_HOLE);
    if (end < 0) return failed(image, "looking for a hole");
    off_t source = begin;
    off_t target = begin;
    while (source < end) {
      const ssize_t moved =
          ::copy_file_range(from, &source, to, &target, static_cast<std::size_t>(end - source), 0);
      if (moved < 0) return failed(image, "copying for the fork");
      if (moved == 0)
        return uvm::Error(uvm::ErrorKind::System, name_of(image) + ": was cut while it was copied");
    }
    at = end;
  }
  return uvm::ok();
}

uvm::Error no_reflinks(const DiskImage& image) {
  return {uvm::ErrorKind::Unsupported,
          name_of(image) + " is written by the guest, and its file system has no reflinks for a fork's own",
          "let the guest only read it (,ro), or say ,fork=copy"};
}

}  // namespace

uvm::Status check_copy(const DiskImage& image) {
  if (image.is_block_device()) {
    return uvm::Error(
        uvm::ErrorKind::Unsupported,
        name_of(image) + " is a block device that the guest writes, of which a fork can't get its own",
        "let the guest only read it (,ro)");
  }
  UVMM_TRY(const Fd fd, nameless_file(image));
  if (image.options().fork == ForkCopy::Bytes || ::ioctl(fd.get(), FICLONE, image.fd().get()) == 0) {
    return uvm::ok();
  }
  return no_reflinks(image);
}

uvm::Result<Fd> copy_disk(const DiskImage& image) {
  if (image.is_block_device()) return no_reflinks(image);
  UVMM_TRY(Fd fd, nameless_file(image));
  if (::ioctl(fd.get(), FICLONE, image.fd().get()) == 0) return fd;
  if (image.options().fork != ForkCopy::Bytes) return no_reflinks(image);
  UVMM_CHECK(copy_bytes(image, fd.get()));
  return fd;
}

}  // namespace vmm::virtio::blk

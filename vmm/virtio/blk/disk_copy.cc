#include "vmm/virtio/blk/disk_copy.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
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
  if (!fd) return failed(image, "a file for a copy of it, in the same folder");
  return fd;
}

/// What is in the other file where there is a hole in this one.
enum class Holes : std::uint8_t { AreThere, ToBeMade };

uvm::Status make_hole(const DiskImage& image, int in, off_t begin, off_t end) {
  if (begin == end || ::fallocate(in, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, begin, end - begin) == 0) {
    return uvm::ok();
  }
  if (errno != EOPNOTSUPP && errno != ENOSYS) return failed(image, "making a hole");
  constexpr std::array<char, 64 * 1024> kEmpty{};
  while (begin < end) {
    const auto size = static_cast<std::size_t>(std::min<off_t>(end - begin, kEmpty.size()));
    const ssize_t put = ::pwrite(in, kEmpty.data(), size, begin);
    if (put < 0 && errno != EINTR) return failed(image, "writing zeros");
    begin += std::max<ssize_t>(put, 0);
  }
  return uvm::ok();
}

/// Runs of data, one by one; between them are holes.
uvm::Status copy_bytes(const DiskImage& image, int from, int to, Holes holes) {
  struct stat status {};
  if (::fstat(from, &status) != 0) return failed(image, "fstat");
  if (::ftruncate(to, status.st_size) != 0) return failed(image, "the size of a copy");
  off_t at = 0;
  while (at < status.st_size) {
    const off_t data = ::lseek(from, at, SEEK_DATA);
    if (data < 0 && errno != ENXIO) return failed(image, "looking for data");
    const off_t begin = data < 0 ? status.st_size : data;
    if (holes == Holes::ToBeMade) UVMM_CHECK(make_hole(image, to, at, begin));
    if (data < 0) break;
    const off_t end = ::lseek(from, begin, SEEK_HOLE);
    if (end < 0) return failed(image, "looking for a hole");
    off_t source = begin;
    off_t target = begin;
    while (source < end) {
      const ssize_t moved =
          ::copy_file_range(from, &source, to, &target, static_cast<std::size_t>(end - source), 0);
      if (moved < 0) return failed(image, "copying");
      if (moved == 0)
        return uvm::Error(uvm::ErrorKind::System, name_of(image) + ": was cut while it was copied");
    }
    at = end;
  }
  return uvm::ok();
}

uvm::Error no_reflinks(const DiskImage& image) {
  return {uvm::ErrorKind::Unsupported,
          name_of(image) + " is written by the guest, and its file system has no reflinks for a copy of it",
          "let the guest only read it (,ro), or say ,fork=copy"};
}

}  // namespace

uvm::Status check_copy(const DiskImage& image) {
  if (image.is_block_device()) {
    return uvm::Error(
        uvm::ErrorKind::Unsupported,
        name_of(image) + " is a block device that the guest writes, of which there can be no copy",
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
  UVMM_CHECK(copy_bytes(image, image.fd().get(), fd.get(), Holes::AreThere));
  return fd;
}

uvm::Status put_back(const DiskImage& image, const Fd& copy, const FileStamp& then) {
  constexpr std::int64_t kSecondNs = 1'000'000'000;
  const int to = image.fd().get();
  if (::ioctl(to, FICLONE, copy.get()) == 0) {
    // It is as long as it was, if it was longer.
    if (::ftruncate(to, static_cast<off_t>(then.bytes)) != 0) return failed(image, "its size");
  } else {
    UVMM_CHECK(copy_bytes(image, copy.get(), to, Holes::ToBeMade));
  }
  const std::array times{timespec{0, UTIME_OMIT},
                         timespec{then.modified_ns / kSecondNs, then.modified_ns % kSecondNs}};
  return ::futimens(to, times.data()) == 0 ? uvm::ok() : uvm::Status(failed(image, "its time"));
}

}  // namespace vmm::virtio::blk

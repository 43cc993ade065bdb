#include "vmm/virtio/blk/disk_image.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string_view>
#include <utility>

#include "vmm/log.h"
#include "vmm/text.h"

namespace vmm::virtio::blk {
namespace {

constexpr std::uint32_t kPage = 4096;
constexpr std::uint32_t kMostBlock = 64 * 1024;

struct Format {
  std::string_view magic;
  std::string_view name;
};
/// Images that QEMU reads and this does not. What a guest writes into its first sector can at most keep it
/// from starting again.
constexpr std::array kFormats = {
    Format{"QFI\xfb", "qcow2"},
    Format{"KDMV", "VMDK"},
    Format{"vhdxfile", "VHDX"},
    Format{"conectix", "VHD"},
    Format{"<<< Oracle VM VirtualBox", "VDI"},
};

bool is_writable(const Options& options) {
  return options.access == DiskAccess::ReadWrite;
}

/// A size that the host says, if it is one that a disk can have.
std::uint32_t block_or(std::uint64_t said, std::uint32_t otherwise) {
  return std::has_single_bit(said) && said >= kSectorBytes && said <= kMostBlock
             ? static_cast<std::uint32_t>(said)
             : otherwise;
}

/// Whether ranges can be taken out of the file. Asked for behind its end, where there is nothing; the file's
/// time, by which a snapshot knows it, stays.
bool file_can_punch(int fd, const struct stat& status) {
  const off_t behind = (status.st_size + kPage - 1) / kPage * kPage;
  if (::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, behind, kPage) != 0) return false;
  const std::array times{timespec{0, UTIME_OMIT}, status.st_mtim};
  static_cast<void>(::futimens(fd, times.data()));
  return true;
}

/// The same of a block device, which is not touched for it.
bool device_can_discard(dev_t device) {
  const std::string folder =
      "/sys/dev/block/" + std::to_string(major(device)) + ":" + std::to_string(minor(device));
  for (const char* place : {"/queue/", "/../queue/"}) {  // of a disk, of a partition
    std::ifstream file(folder + place + "discard_max_bytes");
    std::uint64_t most = 0;
    if (file >> most) return most != 0;
  }
  return false;
}

}  // namespace

uvm::Result<std::shared_ptr<const DiskImage>> DiskImage::open(const Options& options) {
  constexpr int kFlags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;  // a FIFO does not keep us waiting
  int flags = kFlags | (is_writable(options) ? O_RDWR : O_RDONLY);
  struct stat status {};
  // Exclusive: a device that is mounted, or part of something that is, says so.
  if (is_writable(options) && ::stat(options.path.c_str(), &status) == 0 && S_ISBLK(status.st_mode)) {
    flags |= O_EXCL;
  }
  Fd fd(::open(options.path.c_str(), flags));
  const int error = errno;
  const bool opened = static_cast<bool>(fd);
  std::shared_ptr<DiskImage> image(new DiskImage(options, std::move(fd)));
  if (!opened) {
    if (error == EBUSY) {
      return image->refused(uvm::ErrorKind::Invalid, "is mounted, or in use by the kernel", "unmount it");
    }
    const bool read_only = error == EACCES || error == EPERM || error == EROFS;
    return uvm::Error::from_errno(error, "disk " + options.id + ": " + one_line(options.path),
                                  read_only && is_writable(options)
                                      ? "make it writable, or let the guest only read it (,ro)"
                                      : "name a raw image or a block device");
  }
  UVMM_CHECK(image->look());
  UVMM_CHECK(image->lock());
  UVMM_CHECK(image->look_at_contents());
  image->look_at_discards();
  return std::shared_ptr<const DiskImage>(std::move(image));
}

uvm::Result<std::shared_ptr<const DiskImage>> DiskImage::adopt(const Options& options, Fd fd) {
  std::shared_ptr<DiskImage> image(new DiskImage(options, std::move(fd)));
  UVMM_CHECK(image->look());
  image->look_at_discards();
  image->has_name_ = !is_writable(options);
  return std::shared_ptr<const DiskImage>(std::move(image));
}

uvm::Result<Fd> DiskImage::same_file() const {
  Fd same(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
  if (!same) return uvm::Error::from_errno(errno, "disk " + options_.id + ": dup");
  return same;
}

uvm::Result<std::shared_ptr<const DiskImage>> DiskImage::again() const {
  UVMM_TRY(Fd same, same_file());
  std::shared_ptr<DiskImage> image(new DiskImage(options_, std::move(same)));
  UVMM_CHECK(image->look());
  image->look_at_discards();
  image->has_name_ = has_name_;
  return std::shared_ptr<const DiskImage>(std::move(image));
}

bool DiskImage::is_at(const std::string& path) const {
  struct stat mine {};
  struct stat there {};
  return ::fstat(fd_.get(), &mine) == 0 && ::stat(path.c_str(), &there) == 0 && mine.st_dev == there.st_dev &&
         mine.st_ino == there.st_ino;
}

uvm::Error DiskImage::refused(uvm::ErrorKind kind, const std::string& why, const std::string& way_out) const {
  return {kind, "disk " + options_.id + ": " + one_line(options_.path) + " " + why, way_out};
}

uvm::Status DiskImage::look() {
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) return uvm::Error::from_errno(errno, one_line(options_.path));
  is_block_device_ = S_ISBLK(status.st_mode);
  if (!is_block_device_ && !S_ISREG(status.st_mode)) {
    return refused(uvm::ErrorKind::Invalid, S_ISDIR(status.st_mode) ? "is a directory" : "is no disk image",
                   "name a raw image or a block device");
  }
  std::uint64_t bytes = static_cast<std::uint64_t>(status.st_size);
  geometry_.access = options_.access;
  geometry_.flush = options_.flush;
  if (is_block_device_) {
    if (::ioctl(fd_.get(), BLKGETSIZE64, &bytes) != 0) {
      return uvm::Error::from_errno(errno, one_line(options_.path) + ": BLKGETSIZE64");
    }
    UVMM_CHECK(look_at_device());
  } else {
    geometry_.physical_block = block_or(static_cast<std::uint64_t>(status.st_blksize), kPage);
  }
  geometry_.bytes = bytes / kSectorBytes * kSectorBytes;
  if (geometry_.bytes == 0) {
    return refused(uvm::ErrorKind::Invalid, "has no room",
                   "make it as large as the disk: truncate -s 8G FILE");
  }
  if (geometry_.bytes != bytes) {
    log::event(log::Level::Warning, "the end of a disk image is no whole sector, and the guest won't see it",
               {{"disk", options_.id}, {"path", options_.path}, {"bytes", bytes - geometry_.bytes}});
  }
  return uvm::ok();
}

void DiskImage::look_at_discards() {
  struct stat status {};
  if (!is_writable(options_) || ::fstat(fd_.get(), &status) != 0) return;
  geometry_.discards =
      is_block_device_ ? device_can_discard(status.st_rdev) : file_can_punch(fd_.get(), status);
}

uvm::Status DiskImage::look_at_device() {
  int logical = 0;
  unsigned physical = 0;
  if (::ioctl(fd_.get(), BLKSSZGET, &logical) != 0 || ::ioctl(fd_.get(), BLKPBSZGET, &physical) != 0) {
    return uvm::Error::from_errno(errno, one_line(options_.path) + ": BLKSSZGET");
  }
  geometry_.logical_block = block_or(static_cast<std::uint64_t>(logical), kSectorBytes);
  geometry_.physical_block = block_or(physical, geometry_.logical_block);
  return uvm::ok();
}

uvm::Status DiskImage::look_at_contents() const {
  std::array<char, 64> begin{};
  if (::pread(fd_.get(), begin.data(), begin.size(), 0) < 0) return uvm::ok();  // the guest will be told
  for (const Format& format : kFormats) {
    if (std::string_view(begin.data(), format.magic.size()) != format.magic) continue;
    return refused(uvm::ErrorKind::Invalid, "is a " + std::string(format.name) + " image, and not a raw one",
                   "convert it: qemu-img convert -O raw FILE NEW");
  }
  return uvm::ok();
}

uvm::Status DiskImage::lock() const {
  struct flock whole {};
  whole.l_type = is_writable(options_) ? F_WRLCK : F_RDLCK;
  whole.l_whence = SEEK_SET;
  if (::fcntl(fd_.get(), F_OFD_SETLK, &whole) == 0) return uvm::ok();
  if (errno == EAGAIN || errno == EACCES) {
    return is_writable(options_)
               ? refused(uvm::ErrorKind::Invalid, "is in use by another machine",
                         "give each machine an image of its own, or let all of them only read it (,ro)")
               : refused(uvm::ErrorKind::Invalid, "is written by another machine",
                         "end that one first, or let it only read it (,ro)");
  }
  log::event(log::Level::Warning, "a disk image can't be locked: take care that no other machine has it",
             {{"disk", options_.id}, {"path", options_.path}, {"error", std::strerror(errno)}});
  return uvm::ok();
}

uvm::Result<FileStamp> DiskImage::stamp() const {
  constexpr std::int64_t kSecondNs = 1'000'000'000;
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) return uvm::Error::from_errno(errno, one_line(options_.path));
  if (is_block_device_) return FileStamp{geometry_.bytes, 0};
  return FileStamp{static_cast<std::uint64_t>(status.st_size),
                   status.st_mtim.tv_sec * kSecondNs + status.st_mtim.tv_nsec};
}

}  // namespace vmm::virtio::blk

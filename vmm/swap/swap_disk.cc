#include "vmm/swap/swap_disk.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

#include "vmm/swap/aligned_bytes.h"
#include "vmm/text.h"

namespace vmm {
namespace {

constexpr std::string_view kMagic = "uvmm swap file: its machine's memory; of no use to anybody else\n";
/// Copied at once when the caller's memory is not aligned.
constexpr std::size_t kBounce = std::size_t{1} << 20;

bool aligned(const void* memory) {
  return reinterpret_cast<std::uintptr_t>(memory) % AlignedBytes::kAlignment == 0;
}

uvm::Error refused(const std::string& path, const std::string& why) {
  return uvm::Error(uvm::ErrorKind::Invalid, "swap " + one_line(path) + ": " + why,
                    "give --swap a directory, or a file that is not there yet");
}

/// Opens with direct I/O where the file system has it.
Fd open_direct(const std::string& path, int flags) {
  constexpr int kFlags = O_RDWR | O_CLOEXEC | O_NOCTTY;
  constexpr mode_t kOwnerOnly = 0600;
  Fd fd(::open(path.c_str(), flags | kFlags | O_DIRECT, kOwnerOnly));
  if (!fd && errno == EINVAL) fd = Fd(::open(path.c_str(), flags | kFlags, kOwnerOnly));
  return fd;
}

/// A file without a name; where the file system has no O_TMPFILE, one that loses its name at once.
Fd open_nameless(const std::string& directory) {
  Fd fd = open_direct(directory, O_TMPFILE);
  if (fd || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)) return fd;
  std::string path = directory + "/uvmm-swap-XXXXXX";
  const Fd made(::mkostemp(path.data(), O_CLOEXEC));
  if (!made) return {};
  fd = open_direct(path, 0);
  const int error = errno;
  ::unlink(path.c_str());
  errno = error;
  return fd;
}

bool is_directory(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

}  // namespace

uvm::Result<std::unique_ptr<SwapDisk>> SwapDisk::open(const Options& options) {
  const bool nameless = is_directory(options.place);
  Fd fd = nameless ? open_nameless(options.place) : open_direct(options.place, O_CREAT | O_NOFOLLOW);
  if (!fd) {
    return uvm::Error::from_errno(errno, "swap " + one_line(options.place),
                                  "give --swap a directory or file that can be written");
  }
  const std::string shown = one_line(options.place);
  std::unique_ptr<SwapDisk> disk(
      new SwapDisk(std::move(fd), nameless ? "deleted swap file in " + shown : "swap file " + shown,
                   !nameless, options.bytes));
  UVMM_CHECK(disk->prepare());
  disk->choose_engine(options.engine);
  return disk;
}

SwapDisk::SwapDisk(Fd fd, std::string name, bool has_name, std::uint64_t bytes)
    : fd_(std::move(fd)), name_(std::move(name)), has_name_(has_name), bytes_(bytes) {}

SwapDisk::~SwapDisk() {
  if (io_ == nullptr) return;  // refused: the file is somebody else's
  io_.reset();
  // Space that stays taken is a nuisance and nothing worse.
  if (has_name_) static_cast<void>(::ftruncate(fd_.get(), static_cast<off_t>(kHeaderBytes)) == 0);
}

uvm::Status SwapDisk::prepare() {
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) return uvm::Error::from_errno(errno, name_);
  if (!S_ISREG(status.st_mode)) return refused(name_, "is no regular file");
  if (::flock(fd_.get(), LOCK_EX | LOCK_NB) != 0) {
    return uvm::Error(uvm::ErrorKind::Busy, name_ + ": another machine uses it", "give each machine its own");
  }
  AlignedBytes page(kHeaderBytes);
  const auto header = page.bytes();
  if (header.empty()) return uvm::Error(uvm::ErrorKind::NoMemory, name_);
  const auto plain = plain_file_io(fd_.get());
  if (status.st_size != 0) {
    const IoOutcome got = plain->read(0, header);
    if (got.done < kMagic.size() || std::memcmp(header.data(), kMagic.data(), kMagic.size()) != 0) {
      return refused(name_, "holds something else, which would be lost");
    }
  }
  std::memset(header.data(), 0, header.size());
  std::memcpy(header.data(), kMagic.data(), kMagic.size());
  const IoOutcome done = plain->write(0, header);
  if (done.done < header.size()) return failed("writing", 0, header.size(), done);
  const int flags = ::fcntl(fd_.get(), F_GETFL);
  direct_ = flags >= 0 && (flags & O_DIRECT) != 0;
  struct statfs system {};
  in_memory_ =
      ::fstatfs(fd_.get(), &system) == 0 && (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC);
  return uvm::ok();
}

void SwapDisk::choose_engine(IoEngine engine) {
  if (engine == IoEngine::Best) {
    auto ring = uring_file_io(fd_.get());
    if (ring) {
      io_ = std::move(*ring);
      return;
    }
    engine_reason_ = ring.error().text();
  }
  io_ = plain_file_io(fd_.get());
}

std::string SwapDisk::how() const {
  return std::string(direct_ ? "direct, " : "through the page cache, ") + std::string(io_->name());
}

uvm::Error SwapDisk::failed(const char* what, std::uint64_t offset, std::size_t size,
                            IoOutcome outcome) const {
  const std::string place =
      name_ + ": " + what + " " + std::to_string(size) + " bytes at offset " + std::to_string(offset) + ": ";
  if (outcome.error == 0) {
    return uvm::Error(uvm::ErrorKind::PagerIo,
                      place + "the file ends after " + std::to_string(outcome.done) + " of them",
                      "somebody truncated it, and what it held is lost");
  }
  const bool full = outcome.error == ENOSPC || outcome.error == EDQUOT || outcome.error == EFBIG;
  return uvm::Error(uvm::ErrorKind::PagerIo, place + std::system_category().message(outcome.error),
                    full ? "make room there, or give --swap another place" : "look at the disk");
}

uvm::Status SwapDisk::read(std::uint64_t offset, std::span<std::byte> to) {
  if (aligned(to.data())) {
    const IoOutcome got = io_->read(kHeaderBytes + offset, to);
    if (got.done < to.size()) return failed("reading", kHeaderBytes + offset, to.size(), got);
    return uvm::ok();
  }
  AlignedBytes bounce(std::min(kBounce, to.size()));
  if (bounce.bytes().empty()) return uvm::Error(uvm::ErrorKind::NoMemory, name_);
  for (std::size_t done = 0; done < to.size();) {
    const auto piece = bounce.bytes().first(std::min(bounce.bytes().size(), to.size() - done));
    UVMM_CHECK(read(offset + done, piece));
    std::memcpy(to.data() + done, piece.data(), piece.size());
    done += piece.size();
  }
  return uvm::ok();
}

uvm::Status SwapDisk::write(std::uint64_t offset, std::span<const std::byte> from) {
  if (aligned(from.data())) {
    const IoOutcome put = io_->write(kHeaderBytes + offset, from);
    if (put.done < from.size()) return failed("writing", kHeaderBytes + offset, from.size(), put);
    return uvm::ok();
  }
  AlignedBytes bounce(std::min(kBounce, from.size()));
  if (bounce.bytes().empty()) return uvm::Error(uvm::ErrorKind::NoMemory, name_);
  for (std::size_t done = 0; done < from.size();) {
    const auto piece = bounce.bytes().first(std::min(bounce.bytes().size(), from.size() - done));
    std::memcpy(piece.data(), from.data() + done, piece.size());
    UVMM_CHECK(write(offset + done, piece));
    done += piece.size();
  }
  return uvm::ok();
}

}  // namespace vmm

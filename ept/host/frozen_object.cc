#include "ept/host/frozen_object.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <utility>

#include "ept/host/memfd.h"
#include "uvm/base/range.h"

namespace ept::host {
namespace {

constexpr int kNoResize = F_SEAL_SHRINK | F_SEAL_GROW;

uvm::Error still_written(const std::string& name) {
  return uvm::Error(uvm::ErrorKind::Busy, name + ": somebody still has it mapped or open for writing",
                    "replace such mappings by private ones, then seal it");
}

/// Whether a file is on the kernel's own tmpfs, where every memfd is.
uvm::Result<bool> lives_with_memfds(const struct stat& file) {
  UVMM_TRY(const UniqueFd memfd, make_memfd("uvmm-probe", 0));
  struct stat status {};
  if (::fstat(memfd.get(), &status) != 0) return uvm::Error::from_errno(errno, "looking at a memory file");
  return status.st_dev == file.st_dev;
}

/// Whether nobody has the file open for writing, a mapping included: the kernel grants a lease for reading
/// only then. Not for memfds: the kernel does not count who writes those.
uvm::Status check_no_writer(int readable, const std::string& name) {
  if (::fcntl(readable, F_SETLEASE, F_RDLCK) == 0) {
    (void)::fcntl(readable, F_SETLEASE, F_UNLCK);
    return uvm::ok();
  }
  if (errno == EAGAIN) return still_written(name);
  return uvm::Error::from_errno(errno, name + ": asking whether somebody can write it",
                                "give a sealed memfd instead");
}

bool has_seals(int fd, int wanted) {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  return seals >= 0 && (seals & wanted) == wanted;
}

}  // namespace

FrozenObject::FrozenObject(UniqueFd readable, UniqueFd sealer, std::string name, std::uint64_t size)
    : Backing(std::move(readable), BackingKind::Memory),
      name_("frozen " + std::move(name)),
      size_(size),
      sealer_(std::move(sealer)) {}

uvm::Result<std::unique_ptr<FrozenObject>> FrozenObject::freeze(RamObject& ram, std::string name) {
  UVMM_TRY(auto readable, reopen_for_reading(ram.fd(), name));
  UVMM_TRY(auto sealer, ram.stop_writes());
  auto frozen = std::unique_ptr<FrozenObject>(
      new FrozenObject(std::move(readable), std::move(sealer), std::move(name), ram.size()));
  (void)frozen->seal();  // its answer is sealed()
  return frozen;
}

uvm::Result<std::unique_ptr<FrozenObject>> FrozenObject::from_bytes(std::string name,
                                                                    std::span<const std::byte> bytes) {
  if (bytes.empty()) return uvm::Error(uvm::ErrorKind::Invalid, "frozen " + name + " of no bytes");
  const std::uint64_t size = (bytes.size() + uvm::kPageSize - 1) & ~(uvm::kPageSize - 1);
  UVMM_TRY(auto file, make_memfd(name, size));
  UVMM_CHECK(write_memory(file.get(), 0, bytes, "frozen " + name));
  UVMM_TRY(auto readable, reopen_for_reading(file.get(), name));
  auto frozen = std::unique_ptr<FrozenObject>(
      new FrozenObject(std::move(readable), std::move(file), std::move(name), size));
  UVMM_CHECK(frozen->seal());
  return frozen;
}

uvm::Result<std::unique_ptr<FrozenObject>> FrozenObject::adopt(UniqueFd fd, std::string name) {
  const std::string what = "frozen " + name;
  struct stat status {};
  struct statfs filesystem {};
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || ::fstat(fd.get(), &status) != 0 || ::fstatfs(fd.get(), &filesystem) != 0) {
    return uvm::Error::from_errno(errno, what);
  }
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (!S_ISREG(status.st_mode) || filesystem.f_type != TMPFS_MAGIC || size == 0 ||
      size % uvm::kPageSize != 0) {
    return uvm::Error(uvm::ErrorKind::Invalid, what + ": not a file in memory of whole pages, at least one");
  }
  const bool readable = (flags & O_PATH) == 0 && (flags & O_ACCMODE) != O_WRONLY;
  UVMM_TRY(const bool is_memfd, lives_with_memfds(status));
  const bool never_written = has_seals(fd.get(), F_SEAL_WRITE | kNoResize);
  const bool nameless = !is_memfd && status.st_nlink == 0 && (flags & O_ACCMODE) == O_RDONLY;
  if (!readable || (!never_written && !nameless)) {
    return uvm::Error(uvm::ErrorKind::Permission,
                      what + ": its descriptor does not say that nobody writes it",
                      "seal the memfd against writes and changes of size");
  }
  if (!never_written) UVMM_CHECK(check_no_writer(fd.get(), what));
  auto frozen =
      std::unique_ptr<FrozenObject>(new FrozenObject(std::move(fd), UniqueFd(), std::move(name), size));
  frozen->sealed_ = true;
  return frozen;
}

uvm::Status FrozenObject::seal() {
  const uvm::MutexLock lock(mutex_);
  if (sealed_) return uvm::ok();
  if (!sealer_.valid()) {
    UVMM_CHECK(check_no_writer(fd(), name_));
  } else if (::fcntl(sealer_.get(), F_ADD_SEALS, F_SEAL_WRITE | kNoResize | F_SEAL_SEAL) != 0) {
    if (errno == EBUSY) return still_written(name_);
    return uvm::Error::from_errno(errno, name_ + ": sealing it");
  }
  sealer_.reset();
  sealed_ = true;
  return uvm::ok();
}

uvm::Result<uvm::FrameRun> FrozenObject::get(const uvm::PagerRequest& request) {
  if (request.access == uvm::AccessKind::Write) {
    return uvm::Error(uvm::ErrorKind::Protection, name_ + ": a write to what is frozen",
                      "map it copy-on-write");
  }
  return run_of(request, size_);
}

}  // namespace ept::host

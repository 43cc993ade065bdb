#include "ept/host/ram_object.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "ept/host/memfd.h"
#include "ept/host/tmpfs.h"
#include "uvm/base/range.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010  // Linux 5.1
#endif

namespace ept::host {

RamObject::RamObject(UniqueFd fd, std::string name, std::uint64_t size, bool huge,
                     std::string fallback_reason)
    : Backing(std::move(fd), BackingKind::Memory),
      name_(std::move(name)),
      size_(size),
      huge_(huge),
      fallback_reason_(std::move(fallback_reason)) {}

uvm::Result<std::unique_ptr<RamObject>> RamObject::create(std::string name, std::uint64_t size,
                                                          HugePages huge) {
  if (size == 0 || size % uvm::kPageSize != 0 || size > uvm::kAddressLimit) {
    return uvm::Error(uvm::ErrorKind::Invalid,
                      "RAM object '" + name + "' of " + std::to_string(size) + " bytes",
                      "give a size above 0 in whole pages of 4096 bytes, below 2^52");
  }
  std::string reason;
  if (huge == HugePages::Want) {
    auto file = make_huge_file(size);
    if (file) {
      return std::unique_ptr<RamObject>(new RamObject(std::move(*file), std::move(name), size, true, {}));
    }
    reason = file.error().text();
  }
  UVMM_TRY(auto file, make_memfd(name, size));
  // The kernel holds everybody to it, also those who get the descriptor.
  (void)::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
  return std::unique_ptr<RamObject>(
      new RamObject(std::move(file), std::move(name), size, false, std::move(reason)));
}

uvm::Protection RamObject::max_protection() const {
  return frozen_ ? uvm::Protection::ReadExecute : uvm::Protection::All;
}

uvm::Result<uvm::FrameRun> RamObject::get(const uvm::PagerRequest& request) {
  if (request.access == uvm::AccessKind::Write && frozen_) {
    return uvm::Error(uvm::ErrorKind::Protection, name_ + ": a write to what is frozen",
                      "map the frozen object copy-on-write");
  }
  return run_of(request, size_);
}

void RamObject::drop(std::uint64_t offset, std::uint64_t size) {
  (void)::fallocate(fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                    static_cast<off_t>(size));
}

bool RamObject::discard(uvm::ObjectOffset first, std::uint64_t pages) {
  if (frozen_) return false;
  return ::fallocate(fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(first.value()),
                     static_cast<off_t>(pages << uvm::kPageShift)) == 0;
}

uvm::Result<UniqueFd> RamObject::stop_writes() {
  if (frozen_.exchange(true)) {
    return uvm::Error(uvm::ErrorKind::Invalid, name_ + " is frozen already",
                      "share the descriptor of the frozen object");
  }
  const auto stop = [&]() -> uvm::Result<UniqueFd> {
    UVMM_TRY(const UniqueFd readable, reopen_for_reading(fd(), name_));
    UniqueFd sealer;
    if (!huge_) {
      sealer = UniqueFd(::fcntl(fd(), F_DUPFD_CLOEXEC, 0));
      if (!sealer.valid()) return uvm::Error::from_errno(errno, name_ + ": duplicating its descriptor");
      // Before Linux 5.1 there is no such seal, and those who got the descriptor are trusted until seal().
      (void)::fcntl(fd(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE);
    }
    if (::dup3(readable.get(), fd(), O_CLOEXEC) < 0) {
      return uvm::Error::from_errno(errno, name_ + ": replacing its descriptor");
    }
    return sealer;
  };
  auto sealer = stop();
  if (!sealer) frozen_ = false;
  return sealer;
}

}  // namespace ept::host

#include "ept/host/uffd.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

namespace ept::host {
namespace {

// Exact addresses are Linux 5.18, write protection of shared memory 5.19: newer than some headers.
constexpr std::uint64_t kNeeded =
    UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_PAGEFAULT_FLAG_WP;
constexpr std::uint64_t kExactAddress = std::uint64_t{1} << 11;
constexpr std::uint64_t kProtectShared = std::uint64_t{1} << 12;
constexpr auto kNewDescriptor = _IO(0xAA, 0x00);  // USERFAULTFD_IOC_NEW of /dev/userfaultfd, Linux 6.1

constexpr int kDescriptorFlags = O_CLOEXEC | O_NONBLOCK;

uvm::Result<UniqueFd> new_descriptor() {
  const UniqueFd device(::open("/dev/userfaultfd", O_RDWR | O_CLOEXEC));
  if (device.valid()) {
    UniqueFd fd(::ioctl(device.get(), kNewDescriptor, kDescriptorFlags));
    if (fd.valid()) return fd;
  }
  UniqueFd fd(static_cast<int>(::syscall(SYS_userfaultfd, kDescriptorFlags)));
  if (!fd.valid()) {
    return uvm::Error::from_errno(errno, "userfaultfd for kernel accesses",
                                  "allow /dev/userfaultfd, or set vm.unprivileged_userfaultfd=1");
  }
  return fd;
}

uvm::Error failed(const char* what, uvm::HvaRange range) {
  if (errno == EEXIST) {
    return uvm::Error(uvm::ErrorKind::Busy,
                      std::string(what) + " host range " + uvm::to_string(range) + ": a page is there");
  }
  return uvm::Error::from_errno(errno, std::string(what) + " host range " + uvm::to_string(range));
}

uffdio_range raw(uvm::HvaRange range) {
  return {range.begin().value(), range.size()};
}

}  // namespace

uvm::Result<Uffd> Uffd::open() {
  // The features are agreed once for each descriptor, so one is spent on asking.
  UVMM_TRY(const auto asking, new_descriptor());
  uffdio_api answer{UFFD_API, 0, 0};
  if (::ioctl(asking.get(), UFFDIO_API, &answer) != 0) return uvm::Error::from_errno(errno, "userfaultfd");
  if ((answer.features & kNeeded) != kNeeded) {
    return uvm::Error(uvm::ErrorKind::Unsupported, "userfaultfd without shared memory or write protection",
                      "use Linux 5.14 or later");
  }
  UVMM_TRY(auto fd, new_descriptor());
  const std::uint64_t wanted = kNeeded | (answer.features & (kExactAddress | kProtectShared));
  uffdio_api agreed{UFFD_API, wanted, 0};
  if (::ioctl(fd.get(), UFFDIO_API, &agreed) != 0) return uvm::Error::from_errno(errno, "userfaultfd");
  return Uffd(std::move(fd), (wanted & kProtectShared) != 0);
}

uvm::Status Uffd::watch(uvm::HvaRange range, Watch what) const {
  uffdio_register request{};
  request.range = raw(range);
  const auto bits = static_cast<unsigned>(what);
  if ((bits & 1) != 0) request.mode |= UFFDIO_REGISTER_MODE_MISSING;
  if ((bits & 2) != 0) request.mode |= UFFDIO_REGISTER_MODE_MINOR;
  if ((bits & 4) != 0) request.mode |= UFFDIO_REGISTER_MODE_WP;
  if (::ioctl(fd_.get(), UFFDIO_REGISTER, &request) != 0) return failed("watching", range);
  return uvm::ok();
}

uvm::Status Uffd::unwatch(uvm::HvaRange range) const {
  uffdio_range request = raw(range);
  if (::ioctl(fd_.get(), UFFDIO_UNREGISTER, &request) != 0) return failed("no longer watching", range);
  wake(range);
  return uvm::ok();
}

uvm::Status Uffd::copy(uvm::HvaRange range, const std::byte* source, Wake wake) const {
  uffdio_copy request{};
  request.dst = range.begin().value();
  request.src = reinterpret_cast<std::uint64_t>(source);
  request.len = range.size();
  request.mode = wake == Wake::Yes ? 0 : UFFDIO_COPY_MODE_DONTWAKE;
  while (::ioctl(fd_.get(), UFFDIO_COPY, &request) != 0) {
    // One call fills within one mapping of the kernel's, whose borders are not ours. Halving finds them.
    if (errno == ENOENT && range.pages() > 1 && request.len == range.size()) {
      const std::uint64_t half = range.pages() / 2 << uvm::kPageShift;
      UVMM_CHECK(copy(range.before(range.begin() + half), source, wake));
      return copy(range.from(range.begin() + half), source + half, wake);
    }
    if (errno != EAGAIN) return failed("filling", range);
    // The address space was changed meanwhile; what was done so far is counted.
    if (request.copy > 0) {
      const auto done = static_cast<std::uint64_t>(request.copy);
      request.dst += done;
      request.src += done;
      request.len -= done;
    }
    if (request.len == 0) break;
    request.copy = 0;
  }
  return uvm::ok();
}

uvm::Status Uffd::protect_writes(uvm::HvaRange range) const {
  uffdio_writeprotect request{raw(range), UFFDIO_WRITEPROTECT_MODE_WP};
  while (::ioctl(fd_.get(), UFFDIO_WRITEPROTECT, &request) != 0) {
    if (errno != EAGAIN) return failed("write-protecting", range);
  }
  return uvm::ok();
}

uvm::Status Uffd::allow_writes(uvm::HvaRange range) const {
  uffdio_writeprotect request{raw(range), 0};
  while (::ioctl(fd_.get(), UFFDIO_WRITEPROTECT, &request) != 0) {
    if (errno != EAGAIN) return failed("allowing writes to", range);
  }
  return uvm::ok();
}

void Uffd::wake(uvm::HvaRange range) const {
  uffdio_range request = raw(range);
  // Nothing can be done about a failure, and there is none on a valid range.
  (void)::ioctl(fd_.get(), UFFDIO_WAKE, &request);
}

std::size_t Uffd::read(std::span<UffdEvent> events) const {
  std::array<uffd_msg, 16> messages;
  const std::size_t room = std::min(events.size(), messages.size());
  const ssize_t got = ::read(fd_.get(), messages.data(), room * sizeof(uffd_msg));
  if (got <= 0) return 0;  // EAGAIN: none; EINTR: the caller polls again
  std::size_t count = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(got) / sizeof(uffd_msg); ++i) {
    if (messages[i].event != UFFD_EVENT_PAGEFAULT) continue;
    const auto& fault = messages[i].arg.pagefault;
    const bool write = (fault.flags & (UFFD_PAGEFAULT_FLAG_WRITE | UFFD_PAGEFAULT_FLAG_WP)) != 0;
    events[count++] = {uvm::Hva(fault.address), write};
  }
  return count;
}

}  // namespace ept::host

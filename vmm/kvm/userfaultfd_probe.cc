// The probe's userfaultfd part: may we have one that sees KVM's faults, and which kinds of range does it
// take.
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "uvm/base/units.h"
#include "vmm/kvm/fd.h"
#include "vmm/kvm/probe_parts.h"
#include "vmm/kvm/scratch_mapping.h"

namespace vmm::kvm {

namespace {

constexpr const char* kArea = "memory";
constexpr std::size_t kPage = uvm::kPageSize;
constexpr unsigned long kDeviceNew = _IO(0xAA, 0x00);  // USERFAULTFD_IOC_NEW, Linux 6.1
constexpr std::uint64_t kFeatureWpAsync = 1U << 15;    // Linux 6.7
constexpr std::uint64_t kFeatureMove = 1U << 16;       // Linux 6.8

struct Source {
  Fd fd;
  std::string how;
};

/// KVM touches guest memory from kernel mode, so the restricted kind (UFFD_USER_MODE_ONLY) is no use.
Source obtain() {
  Fd direct(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK)));
  if (direct) return {std::move(direct), "by system call"};
  std::string reason = std::strerror(errno);
  const Fd device(::open("/dev/userfaultfd", O_RDWR | O_CLOEXEC));
  if (device) {
    Fd fd(::ioctl(device.get(), kDeviceNew, O_CLOEXEC | O_NONBLOCK));
    if (fd) return {std::move(fd), "by /dev/userfaultfd"};
    reason = std::strerror(errno);
  }
  return {Fd(), "no (" + reason + "; vm.unprivileged_userfaultfd, or access to /dev/userfaultfd)"};
}

bool enroll(int fd, const ScratchMapping& window, std::uint64_t mode) {
  uffdio_register request{};
  request.range = {window.address(), kPage};
  request.mode = mode;
  return ::ioctl(fd, UFFDIO_REGISTER, &request) == 0;
}

/// Absent pages of a private window of a file, filled by copy.
bool missing_works(int fd) {
  const Fd file = memfd("uvmm-probe", kPage);
  const ScratchMapping window(kPage, MAP_PRIVATE, file.get());
  const ScratchMapping page(kPage, MAP_PRIVATE | MAP_ANONYMOUS);
  if (!window || !page || !enroll(fd, window, UFFDIO_REGISTER_MODE_MISSING)) return false;
  page.bytes()[0] = std::byte{7};
  uffdio_copy copy{};
  copy.dst = window.address();
  copy.src = page.address();
  copy.len = kPage;
  return ::ioctl(fd, UFFDIO_COPY, &copy) == 0 && window.bytes()[0] == std::byte{7};
}

/// Pages the file has but the window does not map yet.
bool minor_works(int fd) {
  const Fd file = memfd("uvmm-probe", kPage);
  const ScratchMapping window(kPage, MAP_SHARED, file.get());
  const char byte = 7;
  if (!window || ::pwrite(file.get(), &byte, 1, 0) != 1) return false;
  if (!enroll(fd, window, UFFDIO_REGISTER_MODE_MINOR)) return false;
  uffdio_continue request{};
  request.range = {window.address(), kPage};
  return ::ioctl(fd, UFFDIO_CONTINUE, &request) == 0 && window.bytes()[0] == std::byte{7};
}

bool write_protect_works(int fd) {
  const Fd file = memfd("uvmm-probe", kPage);
  const ScratchMapping window(kPage, MAP_SHARED, file.get());
  if (!window) return false;
  window.bytes()[0] = std::byte{7};
  if (!enroll(fd, window, UFFDIO_REGISTER_MODE_WP)) return false;
  uffdio_writeprotect request{};
  request.range = {window.address(), kPage};
  request.mode = UFFDIO_WRITEPROTECT_MODE_WP;
  return ::ioctl(fd, UFFDIO_WRITEPROTECT, &request) == 0;
}

}  // namespace

void probe_userfaultfd(Report& report) {
  const Source source = obtain();
  add(report, kArea, "userfaultfd", static_cast<bool>(source.fd), source.how,
      {"brings absent pages", "pages can't be brought lazily: images are loaded whole"});
  if (!source.fd) return;
  // Asking for no feature returns all that exist; the hand-shake is done once a descriptor.
  uffdio_api api{UFFD_API, 0, 0};
  if (::ioctl(source.fd.get(), UFFDIO_API, &api) < 0) {
    return add(report, kArea, "userfaultfd hand-shake", std::strerror(errno), Verdict::No,
               "images are loaded whole");
  }
  const bool missing = missing_works(source.fd.get());
  add(report, kArea, "... absent pages of a file", missing, missing ? "works" : "no",
      {"used for lazy loading", "images are loaded whole"});
  const bool minor = minor_works(source.fd.get());
  add(report, kArea, "... unmapped pages of a file", minor, minor ? "works" : "no",
      {"used when data arrives from elsewhere", "the kernel maps them itself"});
  const bool protect = write_protect_works(source.fd.get());
  const bool async = (api.features & kFeatureWpAsync) != 0;
  add(report, kArea, "... write protection", protect && async,
      std::string(protect ? "shared memory" : "no") + (async ? ", asynchronous" : ""),
      {"available for tracking writes", "writes are found by scanning"});
  const bool move = (api.features & kFeatureMove) != 0;
  add(report, kArea, "... moving pages", move, move ? "claimed" : "no",
      {"available for giving pages away", "pages are copied"});
}

}  // namespace vmm::kvm

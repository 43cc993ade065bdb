#include "vmm/vfio/memlock.h"

#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <fstream>
#include <string>
#include <string_view>

#include "uvm/base/units.h"

namespace vmm::vfio {
namespace {

/// The kernel asks the thread that maps, which is this one.
bool may_lock_without_limit() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) return false;
  return (sets[0].effective & (1U << CAP_IPC_LOCK)) != 0;
}

/// Bytes this process has locked (mlock, and DMA of VFIO's containers) or pinned (DMA of iommufd's spaces).
std::uint64_t locked_bytes() {
  std::ifstream status("/proc/self/status");
  std::uint64_t kib = 0;
  for (std::string line; std::getline(status, line);) {
    const std::string_view text(line);
    if (!text.starts_with("VmLck:") && !text.starts_with("VmPin:")) continue;
    const std::size_t digit = text.find_first_of("0123456789");
    std::uint64_t number = 0;
    if (digit == std::string_view::npos) continue;
    std::from_chars(text.data() + digit, text.data() + text.size(), number);
    kib += number;
  }
  return kib * 1024;
}

std::string mib(std::uint64_t bytes) {
  return std::to_string(bytes >> 20) + " MiB";
}

}  // namespace

std::optional<uvm::Error> memlock_error(std::uint64_t bytes) {
  rlimit limit{};
  if (may_lock_without_limit() || ::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return std::nullopt;
  const std::uint64_t locked = locked_bytes();
  if (limit.rlim_cur == RLIM_INFINITY || locked + bytes <= limit.rlim_cur) return std::nullopt;
  return uvm::Error(uvm::ErrorKind::NoMemory,
                    "a device may reach " + mib(bytes) + " of guest memory, which stays locked, and " +
                        mib(locked) + " are locked already: RLIMIT_MEMLOCK allows " + mib(limit.rlim_cur),
                    "raise it (ulimit -l KIB, LimitMEMLOCK= of a systemd unit, memlock in limits.conf), give "
                    "uvmm CAP_IPC_LOCK, or the guest less memory");
}

}  // namespace vmm::vfio

// The probe's host-memory part: each primitive tried on a few pages of its own. What uvmm uses in earnest is
// in ept/host; nothing here is shared with it, so that a probe never depends on what it probes.
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>

#include "uvm/base/units.h"
#include "vmm/kvm/fd.h"
#include "vmm/kvm/probe_parts.h"
#include "vmm/kvm/scratch_mapping.h"

namespace vmm::kvm {

namespace {

constexpr const char* kMemoryArea = "memory";
constexpr std::size_t kPage = uvm::kPageSize;
constexpr std::size_t kHuge = uvm::kLargePageSize;

// Newer than the headers of Linux 6.1.
constexpr int kMadvPopulateWrite = 23;
constexpr int kMadvCollapse = 25;
struct ScanArgument {
  std::uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
  std::uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
struct ScanRegion {
  std::uint64_t start, end, categories;
};
static_assert(sizeof(ScanArgument) == 96 && sizeof(ScanRegion) == 24);
constexpr unsigned long kPagemapScan = _IOWR('f', 16, ScanArgument);
constexpr std::uint64_t kIsFile = 1U << 2;
constexpr std::uint64_t kIsPresent = 1U << 3;
constexpr std::uint64_t kIsSwapped = 1U << 4;

std::string failure() {
  return std::string("no (") + std::strerror(errno) + ")";
}

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// "always [madvise] never" -> "madvise".
std::string chosen(const std::string& line) {
  const auto begin = line.find('[');
  const auto end = line.find(']');
  return begin == std::string::npos || end == std::string::npos ? line
                                                                : line.substr(begin + 1, end - begin - 1);
}

/// A private window of a file, all pages read, one written: the scan must find exactly that one.
void probe_pagemap_scan(Report& report) {
  bool exact = false;
  std::string value = "no";
  const Fd file = memfd("uvmm-probe", 4 * kPage);
  const ScratchMapping window(4 * kPage, MAP_PRIVATE, file.get());
  const Fd pagemap(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  if (window && pagemap) {
    for (std::size_t i = 0; i < 4; ++i) window.touch_read(i * kPage);
    window.bytes()[2 * kPage] = std::byte{1};
    ScanRegion region{};
    ScanArgument argument{};
    argument.size = sizeof(argument);
    argument.start = window.address();
    argument.end = argument.start + 4 * kPage;
    argument.vec = reinterpret_cast<std::uint64_t>(&region);
    argument.vec_len = 1;
    argument.category_inverted = kIsFile;
    argument.category_mask = kIsFile;
    argument.category_anyof_mask = kIsPresent | kIsSwapped;
    argument.return_mask = kIsPresent;
    const int found = ::ioctl(pagemap.get(), kPagemapScan, &argument);
    exact = found == 1 && region.start == argument.start + 2 * kPage && region.end == region.start + kPage;
    value = found < 0 ? failure() : exact ? "finds private pages" : "finds the wrong pages";
  }
  add(report, kMemoryArea, "PAGEMAP_SCAN", exact, std::move(value),
      {"used to find what a guest wrote", "/proc/self/pagemap is read instead, 10 ms a GiB"});
}

void probe_collapse(Report& report) {
  const Fd file = memfd("uvmm-probe", kHuge);
  const ScratchMapping window(kHuge, MAP_SHARED, file.get(), kHuge);
  bool works = false;
  std::string value = "no";
  if (window) {
    std::memset(window.bytes(), 1, kPage);
    works = ::madvise(window.bytes(), kHuge, kMadvCollapse) == 0;
    value = works ? "works" : failure();
  }
  add(report, kMemoryArea, "MADV_COLLAPSE on a memfd", works, std::move(value),
      {"objects get huge pages after they are filled", "shared objects have huge pages only from tmpfs"});
}

void probe_populate(Report& report) {
  const ScratchMapping window(kPage, MAP_PRIVATE | MAP_ANONYMOUS);
  const bool works = window && ::madvise(window.bytes(), kPage, kMadvPopulateWrite) == 0;
  add(report, kMemoryArea, "MADV_POPULATE_WRITE", works, works ? "works" : failure(),
      {"pages are made ahead in one call", "pages are made by touching them"});
}

/// Whether many runs can be dropped by one call: process_madvise takes a vector, madvise does not.
void probe_batched_drop(Report& report) {
  const ScratchMapping window(kPage, MAP_PRIVATE | MAP_ANONYMOUS);
  const Fd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  bool works = false;
  std::string value = "no";
  if (window && self) {
    window.bytes()[0] = std::byte{1};
    const iovec run{window.bytes(), kPage};
    const long done = ::syscall(SYS_process_madvise, self.get(), &run, 1, MADV_DONTNEED, 0);
    works = done == static_cast<long>(kPage) && window.bytes()[0] == std::byte{0};
    value = works ? "works" : failure();
  }
  add(report, kMemoryArea, "process_madvise on itself", works, std::move(value),
      {"scattered pages are dropped in batches", "scattered pages are dropped one run at a time"});
}

/// A tmpfs of our own with huge=always, never visible in any directory tree.
Fd huge_tmpfs_file() {
  const Fd context(static_cast<int>(::syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC)));
  if (!context) return {};
  if (::syscall(SYS_fsconfig, context.get(), FSCONFIG_SET_STRING, "huge", "always", 0) < 0) return {};
  if (::syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0) return {};
  const Fd mount(static_cast<int>(::syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, 0)));
  if (!mount) return {};
  return Fd(::openat(mount.get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
}

void probe_huge_tmpfs(Report& report) {
  const Fd file = huge_tmpfs_file();
  bool works = false;
  std::string value = file ? "no" : failure();
  if (file && ::ftruncate(file.get(), static_cast<off_t>(kHuge)) == 0) {
    const ScratchMapping window(kHuge, MAP_SHARED, file.get(), kHuge);
    if (window) window.bytes()[0] = std::byte{1};
    struct stat now {};
    // One byte touched: the whole 2 MiB is there only if it is one page.
    works = window && ::fstat(file.get(), &now) == 0 && now.st_blocks * 512 == static_cast<off_t>(kHuge);
    value = works ? "works" : "small pages only";
  }
  add(report, kMemoryArea, "huge pages in tmpfs", works, std::move(value),
      {"shared RAM gets huge pages at first touch", "shared RAM starts with 4K pages"});
}

void add_settings(Report& report) {
  const std::string thp = chosen(first_line("/sys/kernel/mm/transparent_hugepage/enabled"));
  add(report, kMemoryArea, "anonymous huge pages", thp == "always" || thp == "madvise",
      thp.empty() ? "no" : thp, {"private RAM asks for them", "private RAM has 4K pages"});
  const std::string limit = first_line("/proc/sys/vm/max_map_count");
  const bool enough = !limit.empty() && std::atol(limit.c_str()) >= 65530;
  add(report, kMemoryArea, "max_map_count", enough, limit,
      {"bounds single-page mappings, the budget is far below",
       "lower than the kernel's default: forks and pins copy earlier"});
  const std::string overcommit = first_line("/proc/sys/vm/overcommit_memory");
  add(report, kMemoryArea, "overcommit", overcommit != "2", overcommit,
      {"a guest may be larger than the host's memory", "all guest RAM counts against the commit limit"});
}

}  // namespace

void probe_host_memory(Report& report) {
  probe_userfaultfd(report);
  probe_pagemap_scan(report);
  probe_collapse(report);
  probe_huge_tmpfs(report);
  probe_populate(report);
  probe_batched_drop(report);
  add_settings(report);
}

}  // namespace vmm::kvm

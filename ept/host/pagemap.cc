#include "ept/host/pagemap.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <new>
#include <string>

#include "ept/host/fd.h"

namespace ept::host {
namespace {

// Linux 6.7, include/uapi/linux/fs.h; Debian 12's headers are older.
struct ScanRegion {
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t categories;
};
struct ScanArgument {
  std::uint64_t size;
  std::uint64_t flags;
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t walk_end;
  std::uint64_t regions;
  std::uint64_t region_count;
  std::uint64_t max_pages;
  std::uint64_t category_inverted;
  std::uint64_t category_mask;
  std::uint64_t category_any_of;
  std::uint64_t return_mask;
};
static_assert(sizeof(ScanRegion) == 24 && sizeof(ScanArgument) == 96);
constexpr auto kScan = _IOWR('f', 16, ScanArgument);
constexpr std::uint64_t kFile = 1 << 2;
constexpr std::uint64_t kPresent = 1 << 3;
constexpr std::uint64_t kSwapped = 1 << 4;
constexpr std::uint64_t kZeroPage = 1 << 5;
constexpr std::uint64_t kHuge = 1 << 6;

// Documentation/admin-guide/mm/pagemap.rst
constexpr std::uint64_t kMapFile = std::uint64_t{1} << 61;
constexpr std::uint64_t kMapSwapped = std::uint64_t{1} << 62;
constexpr std::uint64_t kMapPresent = std::uint64_t{1} << 63;

enum class Wanted { All, Private, PrivateOfAnonymous };
using Visit = std::function<void(const PageRun&)>;

/// A word that is zero again in a child of fork(); null: this kernel has none.
std::atomic<pid_t>* make_mark() {
  void* const page =
      ::mmap(nullptr, uvm::kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return nullptr;
  if (::madvise(page, uvm::kPageSize, MADV_WIPEONFORK) == 0) return new (page) std::atomic<pid_t>(0);
  ::munmap(page, uvm::kPageSize);
  return nullptr;
}

/// getpid(), which is a system call, at the price of a look.
pid_t this_process() {
  static std::atomic<pid_t>* const mark = make_mark();
  if (mark == nullptr) return ::getpid();
  pid_t known = mark->load(std::memory_order_relaxed);
  if (known == 0) {
    known = ::getpid();
    mark->store(known, std::memory_order_relaxed);
  }
  return known;
}

/// /proc/self/pagemap, opened once in a thread and kept; anew in a child of fork(), where what was inherited
/// shows the parent's memory.
int pagemap_fd() {
  thread_local pid_t owner = 0;
  thread_local UniqueFd fd;
  if (const pid_t now = this_process(); owner != now) {
    fd = UniqueFd(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
    owner = now;
  }
  return fd.get();
}

uvm::HvaRange bounds(std::uint64_t begin, std::uint64_t end) {
  return uvm::HvaRange::from_bounds(uvm::Hva(begin), uvm::Hva(end)).value_or(uvm::HvaRange());
}

PageRun decode(const ScanRegion& region) {
  PageRun run;
  run.range = bounds(region.start, region.end);
  run.present = (region.categories & kPresent) != 0;
  run.swapped = (region.categories & kSwapped) != 0;
  run.of_file = (region.categories & kFile) != 0;
  run.zero_page = (region.categories & kZeroPage) != 0;
  run.huge = (region.categories & kHuge) != 0;
  return run;
}

/// 0 or an errno; ENOTTY when the kernel has no such call.
int scan_by_call(uvm::HvaRange range, Wanted wanted, const Visit& visit) {
  std::array<ScanRegion, 256> regions;
  ScanArgument argument{};
  argument.size = sizeof argument;
  argument.start = range.begin().value();
  argument.end = range.end().value();
  argument.regions = reinterpret_cast<std::uint64_t>(regions.data());
  argument.region_count = regions.size();
  argument.category_any_of = kPresent | kSwapped;
  argument.return_mask = kPresent | kSwapped | kFile | kZeroPage | kHuge;
  if (wanted != Wanted::All) {
    const std::uint64_t others = wanted == Wanted::Private ? kFile | kZeroPage : kZeroPage;
    argument.category_inverted = others;
    argument.category_mask = others;
    argument.return_mask = kPresent | kSwapped;
  }
  while (argument.start < argument.end) {
    const int count = ::ioctl(pagemap_fd(), kScan, &argument);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    for (int i = 0; i < count; ++i) visit(decode(regions[static_cast<std::size_t>(i)]));
    argument.start = argument.walk_end;
  }
  return 0;
}

/// Joins pages of one kind to runs.
class Joiner {
 public:
  explicit Joiner(const Visit& visit) : visit_(visit) {}
  ~Joiner() { flush(); }
  Joiner(const Joiner&) = delete;
  Joiner& operator=(const Joiner&) = delete;

  void add(std::uint64_t address, std::uint64_t kind) {
    if (kind != kind_ || address != end_) {
      flush();
      begin_ = address;
      kind_ = kind;
    }
    end_ = address + uvm::kPageSize;
  }

 private:
  void flush() {
    if (kind_ == 0) return;
    PageRun run;
    run.range = bounds(begin_, end_);
    run.present = (kind_ & kMapPresent) != 0;
    run.swapped = (kind_ & kMapSwapped) != 0;
    run.of_file = (kind_ & kMapFile) != 0;
    visit_(run);
    kind_ = 0;
  }
  const Visit& visit_;
  std::uint64_t begin_ = 0;
  std::uint64_t end_ = 0;
  std::uint64_t kind_ = 0;
};

int scan_by_file(uvm::HvaRange range, Wanted wanted, const Visit& visit) {
  std::array<std::uint64_t, 512> words;
  Joiner joiner(visit);
  for (std::uint64_t at = range.begin().value(); at < range.end().value();) {
    const std::uint64_t pages =
        std::min<std::uint64_t>(words.size(), (range.end().value() - at) >> uvm::kPageShift);
    const ssize_t got = ::pread(pagemap_fd(), words.data(), pages * sizeof(std::uint64_t),
                                static_cast<off_t>((at >> uvm::kPageShift) * sizeof(std::uint64_t)));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got < 0 ? errno : EIO;
    const auto count = static_cast<std::uint64_t>(got) / sizeof(std::uint64_t);
    for (std::uint64_t i = 0; i < count; ++i, at += uvm::kPageSize) {
      const std::uint64_t kind = words[i] & (kMapFile | kMapSwapped | kMapPresent);
      if ((kind & (kMapPresent | kMapSwapped)) == 0) continue;
      if (wanted != Wanted::All && (kind & kMapFile) != 0) continue;
      joiner.add(at, kind);
    }
  }
  return 0;
}

uvm::Status scan(uvm::HvaRange range, Wanted wanted, const Visit& visit, PagemapSource source) {
  static std::atomic<bool> has_call{true};
  int error = ENOTTY;
  if (source == PagemapSource::Best && has_call.load(std::memory_order_relaxed)) {
    error = scan_by_call(range, wanted, visit);
    if (error == ENOTTY || error == EINVAL) has_call.store(false, std::memory_order_relaxed);
  }
  if (error == ENOTTY || error == EINVAL) error = scan_by_file(range, wanted, visit);
  if (error != 0) return uvm::Error::from_errno(error, "page map of host range " + uvm::to_string(range));
  return uvm::ok();
}

}  // namespace

void open_pagemap() {
  (void)pagemap_fd();
}

uvm::Status scan_pages(uvm::HvaRange range, const Visit& visit, PagemapSource source) {
  return scan(range, Wanted::All, visit, source);
}

uvm::Status scan_private_pages(uvm::HvaRange range, MappingOf of, const Visit& visit, PagemapSource source) {
  const Wanted wanted = of == MappingOf::Anonymous ? Wanted::PrivateOfAnonymous : Wanted::Private;
  return scan(range, wanted, visit, source);
}

}  // namespace ept::host

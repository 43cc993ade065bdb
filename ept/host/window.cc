#include "ept/host/window.h"

#include <sys/mman.h>

#include <cerrno>
#include <string>
#include <utility>

namespace ept::host {
namespace {

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4  // Linux 5.7
#endif

constexpr std::uint64_t kAlignment = uvm::kHugePageSize;

int protection(Window::Access access) {
  switch (access) {
    case Window::Access::None:
      return PROT_NONE;
    case Window::Access::Read:
      return PROT_READ;
    case Window::Access::ReadWrite:
      return PROT_READ | PROT_WRITE;
  }
  return PROT_NONE;
}

uvm::Error failed(const char* what, uvm::GpaRange range) {
  const int error = errno;
  return uvm::Error::from_errno(error, std::string(what) + " guest range " + uvm::to_string(range),
                                error == ENOMEM ? "raise vm.max_map_count, or give the host memory" : "");
}

}  // namespace

uvm::Result<Window> Window::reserve(uvm::GpaRange covered) {
  const std::uint64_t room = covered.size() + kAlignment;
  void* const got = ::mmap(nullptr, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (got == MAP_FAILED) {
    return uvm::Error::from_errno(errno, "reserving " + std::to_string(room) + " bytes of host addresses",
                                  "give the guest less memory, or raise the limit (ulimit -v)");
  }
  // The first address from `got` on that equals covered.begin() modulo the alignment.
  const uvm::Hva low(reinterpret_cast<std::uint64_t>(got));
  const std::uint64_t phase = covered.begin().value() & (kAlignment - 1);
  const std::uint64_t shift = (phase - low.value()) & (kAlignment - 1);
  if (shift != 0) (void)::munmap(got, shift);
  if (shift != kAlignment) {
    (void)::munmap(static_cast<std::byte*>(got) + shift + covered.size(), kAlignment - shift);
  }
  return Window(low + shift, covered);
}

Window::Window(Window&& other) noexcept
    : base_(other.base_),
      covered_(std::exchange(other.covered_, uvm::GpaRange())),
      private_(std::move(other.private_)) {}

Window::~Window() {
  if (!covered_.empty()) (void)::munmap(pointer(covered_.begin()), covered_.size());
}

void* Window::pointer(uvm::Gpa address) const {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a host address is a number up to this place
  return reinterpret_cast<void*>(hva(address).value());
}

uvm::HvaRange Window::hva(uvm::GpaRange range) const {
  return uvm::HvaRange::from_size(hva(range.begin()), range.size()).value_or(uvm::HvaRange());
}

std::span<std::byte> Window::bytes(uvm::GpaRange range) const {
  return {static_cast<std::byte*>(pointer(range.begin())), range.size()};
}

uvm::Status Window::map(uvm::GpaRange range, int prot, int flags, int fd, std::uint64_t first_page) {
  private_.clear(range);
  void* const at = pointer(range.begin());
  const auto offset = static_cast<off_t>(first_page * uvm::kPageSize);
  if (::mmap(at, range.size(), prot, flags | MAP_FIXED | MAP_NORESERVE, fd, offset) == MAP_FAILED) {
    return failed("mapping", range);
  }
  // A core of a monitor with its guest's memory is too large to be of use, and the guest's secrets are not
  // the business of whoever reads cores. Cannot fail on a mapping that was just made.
  (void)::madvise(at, range.size(), MADV_DONTDUMP);
  return uvm::ok();
}

uvm::Status Window::map_zero(uvm::GpaRange range, Access access, HugePages huge) {
  UVMM_CHECK(map(range, protection(access), MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  // EINVAL on kernels without huge pages: small ones then, which are as right.
  const int advice = huge == HugePages::Want ? MADV_HUGEPAGE : MADV_NOHUGEPAGE;
  (void)::madvise(pointer(range.begin()), range.size(), advice);
  return uvm::ok();
}

uvm::Status Window::map_private(uvm::GpaRange range, const Backing& file, std::uint64_t first_page,
                                Access access) {
  return map(range, protection(access), MAP_PRIVATE, file.fd(), first_page);
}

uvm::Status Window::map_shared(uvm::GpaRange range, const Backing& file, std::uint64_t first_page,
                               Access access) {
  return map(range, protection(access), MAP_SHARED, file.fd(), first_page);
}

uvm::Status Window::unmap(uvm::GpaRange range) {
  return map(range, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

uvm::Status Window::set_access(uvm::GpaRange range, Access access) {
  if (::mprotect(pointer(range.begin()), range.size(), protection(access)) != 0) {
    return failed("changing access to", range);
  }
  return uvm::ok();
}

uvm::Status Window::drop_pages(uvm::GpaRange range) {
  private_.clear(range);
  if (::madvise(pointer(range.begin()), range.size(), MADV_DONTNEED) != 0) {
    return failed("dropping pages of", range);
  }
  return uvm::ok();
}

uvm::Status Window::populate_write(uvm::GpaRange range) {
  while (::madvise(pointer(range.begin()), range.size(), MADV_POPULATE_WRITE) != 0) {
    const std::string what = "populating guest range " + uvm::to_string(range);
    switch (errno) {
      case EAGAIN:
      case EINTR:
        continue;
      case EHWPOISON:
        return uvm::Error(uvm::ErrorKind::PagerIo, what + ": the host's memory is broken there");
      case EFAULT:
        return uvm::Error(uvm::ErrorKind::PagerIo, what + ": its file ends before it");
      case EINVAL:
        return uvm::Error(uvm::ErrorKind::Invalid, what + ": not writable there");
      default:
        return failed("populating", range);
    }
  }
  return uvm::ok();
}

uvm::Status Window::move_pages_to(Window& target, uvm::GpaRange range) {
  private_.clear(range);
  target.private_.clear(range);
  // Leaving the mapping behind also keeps its addresses ours: no other mmap() of the process can slip in.
  constexpr int kFlags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
  if (::mremap(pointer(range.begin()), range.size(), range.size(), kFlags, target.pointer(range.begin())) !=
      MAP_FAILED) {
    return uvm::ok();
  }
  // One call moves within one mapping of the kernel's. Its borders are not ours: neighbours whose pages were
  // first touched apart stay apart. Halving finds them.
  if (errno == EFAULT && range.pages() > 1) {
    const uvm::Gpa middle = range.begin() + (range.pages() / 2 << uvm::kPageShift);
    UVMM_CHECK(move_pages_to(target, range.before(middle)));
    return move_pages_to(target, range.from(middle));
  }
  return failed("moving pages of", range);
}

}  // namespace ept::host

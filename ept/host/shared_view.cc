#include "ept/host/shared_view.h"

#include <sys/mman.h>

#include <cerrno>
#include <string>

#include "uvm/base/range.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14
#endif

namespace ept::host {

uvm::Result<SharedView> SharedView::reserve(std::uint64_t size) {
  void* at = ::mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return uvm::Error::from_errno(errno, "view of " + uvm::hex(size) + " bytes: mmap");
  return SharedView({static_cast<std::byte*>(at), size});
}

uvm::Result<SharedView> SharedView::of_file(int fd, std::uint64_t size) {
  UVMM_TRY(SharedView view, reserve(size));
  UVMM_CHECK(view.show(0, size, fd, 0, Access::Read));
  return view;
}

SharedView::~SharedView() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

uvm::Status SharedView::show(std::uint64_t at, std::uint64_t size, int fd, std::uint64_t offset,
                             Access access) {
  const std::string what = "view at " + uvm::hex(at) + "+" + uvm::hex(size);
  if (at > bytes_.size() || size > bytes_.size() - at) {
    return uvm::Error(uvm::ErrorKind::Invalid, what + ": it has " + uvm::hex(bytes_.size()) + " bytes");
  }
  const int rights = access == Access::ReadWrite ? PROT_READ | PROT_WRITE : PROT_READ;
  void* place = bytes_.data() + at;
  if (::mmap(place, size, rights, MAP_SHARED | MAP_FIXED, fd, static_cast<off_t>(offset)) == MAP_FAILED) {
    return uvm::Error::from_errno(errno, what + ": mmap");
  }
  return uvm::ok();
}

void SharedView::populate(std::uint64_t at, std::uint64_t size) const {
  if (at > bytes_.size() || size > bytes_.size() - at) return;
  (void)::madvise(bytes_.data() + at, size, MADV_POPULATE_WRITE);
}

void SharedView::let_pages_go() const {
  (void)::madvise(bytes_.data(), bytes_.size(), MADV_DONTNEED);
}

}  // namespace ept::host

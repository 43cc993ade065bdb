#include "ept/host/populate.h"

#include <sys/mman.h>

#include <cerrno>
#include <string>

namespace ept::host {

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14
#endif

uvm::Status populate(std::span<std::byte> pages, uvm::GpaRange range) {
  while (::madvise(pages.data(), pages.size(), MADV_POPULATE_WRITE) != 0) {
    const int error = errno;
    const std::string what = "populating guest range " + uvm::to_string(range);
    switch (error) {
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
        return uvm::Error::from_errno(error, what, error == ENOMEM ? "give the host memory" : "");
    }
  }
  return uvm::ok();
}

}  // namespace ept::host

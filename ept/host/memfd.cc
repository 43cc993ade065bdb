#include "ept/host/memfd.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace ept::host {

uvm::Result<UniqueFd> make_memfd(std::string_view label, std::uint64_t size) {
  const std::string name(label);
  UniqueFd fd(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return uvm::Error::from_errno(errno, "memory file '" + name + "'");
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
    return uvm::Error::from_errno(errno, "memory file '" + name + "' of " + std::to_string(size) + " bytes");
  }
  return fd;
}

uvm::Status write_memory(int fd, std::uint64_t offset, std::span<const std::byte> bytes,
                         std::string_view what) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      return uvm::Error(uvm::ErrorKind::NoMemory, std::string(what) + ": " + std::strerror(errno));
    }
    offset += static_cast<std::uint64_t>(put);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
  return uvm::ok();
}

}  // namespace ept::host

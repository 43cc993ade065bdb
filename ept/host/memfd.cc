#include "ept/host/memfd.h"

#include <sys/mman.h>

#include <cerrno>
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

}  // namespace ept::host

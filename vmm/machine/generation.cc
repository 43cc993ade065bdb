#include "vmm/machine/generation.h"

#include <sys/random.h>

#include <cerrno>

namespace vmm {

uvm::Status renew_generation(Machine::Parts& parts, devices::Tell tell) {
  devices::GenerationId& id = parts.platform->generation_id();
  const auto place = id.place();
  if (!place) return uvm::ok();
  devices::GenerationId::Bytes bytes{};
  // The kernel's own, asked for each time: processes that were forked share whatever a library has put by.
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return uvm::Error::from_errno(errno, "getrandom for the guest's generation id");
  }
  UVMM_CHECK(parts.memory->write(*place, bytes));
  id.renew(bytes, tell);
  return uvm::ok();
}

}  // namespace vmm

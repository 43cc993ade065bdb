#include "vmm/kvm/fd.h"

#include <unistd.h>

#include <cerrno>

namespace vmm {

void Fd::reset() {
  if (number_ < 0) return;
  const int saved = errno;
  ::close(std::exchange(number_, -1));
  errno = saved;
}

}  // namespace vmm

#include "ept/host/fd.h"

#include <unistd.h>

#include <cerrno>

namespace ept::host {

void UniqueFd::reset() {
  if (number_ < 0) return;
  const int saved = errno;
  ::close(std::exchange(number_, -1));
  errno = saved;
}

}  // namespace ept::host

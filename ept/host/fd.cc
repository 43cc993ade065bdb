#include "ept/host/fd.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace ept::host {

void UniqueFd::reset() {
  if (number_ < 0) return;
  const int saved = errno;
  ::close(std::exchange(number_, -1));
  errno = saved;
}

uvm::Result<UniqueFd> reopen_for_reading(int fd, const std::string& what) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  UniqueFd readable(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (readable.valid()) return readable;
  return uvm::Error::from_errno(errno, what + ": opening " + path + " for reading", "mount /proc");
}

}  // namespace ept::host

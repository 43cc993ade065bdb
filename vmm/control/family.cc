#include "vmm/control/family.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <string>
#include <utility>

#include "ept/host/memfd.h"

namespace vmm::control {

using uvm::Error;
using uvm::ErrorKind;
using uvm::Result;

Result<std::shared_ptr<const Family>> Family::create(std::uint32_t most) {
  UVMM_TRY(Fd fd, ept::host::make_memfd("family", most));
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return Error::from_errno(errno, "sealing the file that counts a machine's copies");
  }
  return std::shared_ptr<const Family>(new Family(std::move(fd), most));
}

Result<std::shared_ptr<const Family>> Family::adopt(Fd fd) {
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) {
    return Error::from_errno(errno, "looking at the file that counts a machine's copies");
  }
  if (!S_ISREG(info.st_mode) || info.st_size > std::numeric_limits<std::uint32_t>::max()) {
    return Error(ErrorKind::Invalid, "what came is not the file that counts a machine's copies");
  }
  return std::shared_ptr<const Family>(new Family(std::move(fd), static_cast<std::uint32_t>(info.st_size)));
}

Result<Fd> Family::take_place() const {
  // Locks belong to the description, so a member needs one of its own.
  const std::string path = "/proc/self/fd/" + std::to_string(fd_.get());
  Fd own(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!own) return Error::from_errno(errno, "opening the file that counts a machine's copies");
  for (std::uint32_t place = 0; place < most_; ++place) {
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = place;
    lock.l_len = 1;
    if (::fcntl(own.get(), F_OFD_SETLK, &lock) == 0) return own;
    if (errno != EAGAIN && errno != EACCES) {
      return Error::from_errno(errno, "taking a place among a machine's copies");
    }
  }
  return Error(
      ErrorKind::Busy,
      "all " + std::to_string(most_) + " places for copies of this machine are taken (--max-children)",
      "end some, `uvmm tree` shows them; or start the first machine with a larger --max-children");
}

}  // namespace vmm::control

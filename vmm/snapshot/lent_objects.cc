#include "vmm/snapshot/lent_objects.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <string>

namespace vmm::snapshot {
namespace {

struct flock whole(short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

bool is_lent(const MemoryObject& object) {
  // Whether a lock for writing would meet another's; it is not taken.
  struct flock lock = whole(F_WRLCK);
  return ::fcntl(object->fd(), F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

}  // namespace

uvm::Result<Fd> LentObjects::lend(const MemoryObject& object) {
  const std::string path = "/proc/self/fd/" + std::to_string(object->fd());
  const std::string what = "lending " + std::string(object->name());
  Fd description(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!description) return uvm::Error::from_errno(errno, what);
  struct flock lock = whole(F_RDLCK);
  if (::fcntl(description.get(), F_OFD_SETLK, &lock) != 0) return uvm::Error::from_errno(errno, what);
  add_object(objects_, object);
  return description;
}

bool LentObjects::let_go() {
  std::erase_if(objects_, [](const MemoryObject& object) { return !is_lent(object); });
  return !objects_.empty();
}

void LentObjects::keep_only(const std::vector<MemoryObject>& wanted) {
  std::erase_if(objects_, [&wanted](const MemoryObject& object) {
    return std::ranges::find(wanted, object) == wanted.end();
  });
}

}  // namespace vmm::snapshot

#include "ept/host/tmpfs.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/syscall.h>

#include <cerrno>
#include <string>

namespace ept::host {
namespace {

// glibc 2.36 has wrappers for these in <sys/mount.h>, which does not go together with <linux/mount.h>.
int open_filesystem(const char* type) {
  return static_cast<int>(::syscall(SYS_fsopen, type, FSOPEN_CLOEXEC));
}
int configure(int fd, unsigned command, const char* key, const char* value) {
  return static_cast<int>(::syscall(SYS_fsconfig, fd, command, key, value, 0));
}
int mount_detached(int fd) {
  return static_cast<int>(::syscall(SYS_fsmount, fd, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID));
}

uvm::Error failed(const char* step) {
  return uvm::Error::from_errno(errno, std::string("private tmpfs with huge pages: ") + step);
}

uvm::Result<UniqueFd> mount_huge() {
  const UniqueFd filesystem(open_filesystem("tmpfs"));
  if (!filesystem.valid()) return failed("fsopen");
  // size=0 is tmpfs' word for no limit: guest RAM is limited by what guests touch, not by half of the host.
  if (configure(filesystem.get(), FSCONFIG_SET_STRING, "size", "0") != 0) return failed("size");
  if (configure(filesystem.get(), FSCONFIG_SET_STRING, "huge", "always") != 0) return failed("huge=always");
  if (configure(filesystem.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr) != 0) return failed("create");
  UniqueFd mount(mount_detached(filesystem.get()));
  if (!mount.valid()) return failed("fsmount");
  return mount;
}

}  // namespace

uvm::Result<int> huge_files_root() {
  static const auto root = mount_huge();
  if (!root) return root.error();
  return root->get();
}

uvm::Result<UniqueFd> make_huge_file(std::uint64_t size) {
  UVMM_TRY(const int root, huge_files_root());
  UniqueFd file(::openat(root, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!file.valid()) return failed("O_TMPFILE");
  if (::ftruncate(file.get(), static_cast<off_t>(size)) != 0) return failed("ftruncate");
  return file;
}

}  // namespace ept::host

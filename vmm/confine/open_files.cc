#include "vmm/confine/open_files.h"

#include <dirent.h>

#include <cerrno>
#include <cstdlib>
#include <memory>

namespace vmm::confine {
namespace {

struct Closer {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

}  // namespace

uvm::Status for_each_open_file(const OpenFile& each) {
  const std::unique_ptr<DIR, Closer> folder(::opendir("/proc/self/fd"));
  if (!folder) return uvm::Error::from_errno(errno, "listing /proc/self/fd", "mount /proc");
  while (const dirent* const entry = ::readdir(folder.get())) {
    if (entry->d_name[0] == '.') continue;
    const int fd = std::atoi(entry->d_name);
    struct stat info {};
    if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) continue;
    UVMM_CHECK(each(fd, info));
  }
  return uvm::ok();
}

}  // namespace vmm::confine

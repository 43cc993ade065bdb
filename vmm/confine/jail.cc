#include "vmm/confine/jail.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

#include "vmm/confine/open_files.h"
#include "vmm/kvm/fd.h"

namespace vmm::confine {

using uvm::Error;
using uvm::ErrorKind;

namespace {

constexpr const char* kCgroups = "/sys/fs/cgroup/";

std::string cgroup_path(const std::string& named) {
  return named.starts_with('/') ? named : kCgroups + named;
}

std::string parent_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

uvm::Status write_to(const std::string& path, const std::string& text) {
  const Fd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return Error::from_errno(errno, "opening " + path);
  if (::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size())) return uvm::ok();
  return Error::from_errno(errno, "writing " + text + " to " + path);
}

uvm::Status set_limit(const std::string& cgroup, const std::string& controller, std::uint64_t most) {
  const std::string path = cgroup + "/" + controller + ".max";
  if (::access(path.c_str(), F_OK) != 0) {
    return Error(ErrorKind::Unsupported,
                 path + " is not there: the cgroup has no " + controller + " controller",
                 "write +" + controller + " to " + parent_of(cgroup) + "/cgroup.subtree_control");
  }
  return write_to(path, std::to_string(most));
}

uvm::Status enter_netns(const std::string& path) {
  const Fd space(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!space) return Error::from_errno(errno, "--netns " + path);
  if (::setns(space.get(), CLONE_NEWNET) == 0) return uvm::ok();
  if (errno == EINVAL) {
    return Error(ErrorKind::Invalid, "--netns " + path + ": it is no network namespace",
                 "name one of `ip netns add`, below /run/netns");
  }
  return Error::from_errno(errno, "--netns " + path, "start uvmm as root, or inside of it");
}

uvm::Status enter_cgroup(const Options& options) {
  const std::string path = cgroup_path(options.cgroup);
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
    return Error::from_errno(errno, "--cgroup: making " + path, "make it, and give it to this user");
  }
  struct statfs filesystem {};
  if (::statfs(path.c_str(), &filesystem) != 0) return Error::from_errno(errno, "--cgroup " + path);
  if (filesystem.f_type != CGROUP2_SUPER_MAGIC) {
    return Error(ErrorKind::Invalid, "--cgroup " + path + " is not in a cgroup2 file system",
                 "name a folder below where `mount -t cgroup2` shows it");
  }
  UVMM_CHECK(set_limits(path, options));
  auto moved = write_to(path + "/cgroup.procs", std::to_string(::getpid()));
  if (!moved) return std::move(moved).error().with_context("--cgroup: moving in");
  return uvm::ok();
}

Error not_allowed(const char* step) {
  return Error::from_errno(errno, step, "start uvmm as root");
}

/// Guest memory is in files without a name, which are opened again when the guest is forked.
uvm::Status give_memory_away(uid_t uid, gid_t gid) {
  return for_each_open_file([&](int fd, const struct stat& info) -> uvm::Status {
    if (info.st_nlink != 0 || info.st_uid != ::geteuid()) return uvm::ok();
    if (::fchown(fd, uid, gid) != 0) return not_allowed("giving the guest's memory away");
    return uvm::ok();
  });
}

}  // namespace

uvm::Status set_limits(const std::string& cgroup, const Options& options) {
  if (options.memory_max) UVMM_CHECK(set_limit(cgroup, "memory", *options.memory_max));
  if (options.pids_max) UVMM_CHECK(set_limit(cgroup, "pids", *options.pids_max));
  return uvm::ok();
}

uvm::Status enter_jail(const Options& options) {
  if (!options.netns.empty()) UVMM_CHECK(enter_netns(options.netns));
  if (!options.cgroup.empty()) UVMM_CHECK(enter_cgroup(options));
  return uvm::ok();
}

uvm::Status give_up_rights(const Options& options, std::span<const std::string> sockets) {
  if (!options.uid || !options.gid) return uvm::ok();
  const uid_t uid = *options.uid;
  const gid_t gid = *options.gid;
  for (const std::string& path : sockets) {
    if (::lchown(path.c_str(), uid, gid) != 0) return not_allowed(("giving " + path + " away").c_str());
  }
  UVMM_CHECK(give_memory_away(uid, gid));
  if (::geteuid() == 0 && ::setgroups(0, nullptr) != 0) return not_allowed("leaving root's groups");
  if (::setresgid(gid, gid, gid) != 0) return not_allowed(("--gid " + std::to_string(gid)).c_str());
  if (::setresuid(uid, uid, uid) != 0) return not_allowed(("--uid " + std::to_string(uid)).c_str());
  // /proc/self belongs to root until this is said again, and page maps are there.
  if (::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) return Error::from_errno(errno, "owning /proc/self");
  return uvm::ok();
}

}  // namespace vmm::confine

#include "vmm/confine/landlock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "vmm/log.h"

namespace vmm::confine {

using uvm::Error;

namespace {

// linux/landlock.h as of version 6; Debian 12's header is older.
struct RulesetAttributes {
  std::uint64_t handled_files;
  std::uint64_t handled_net;  // from version 4 on
  std::uint64_t scoped;       // from version 6 on
};
struct __attribute__((packed)) PathAttributes {
  std::uint64_t allowed;
  std::int32_t parent;
};
constexpr unsigned kAskVersion = 1;
constexpr int kPathBeneath = 1;

constexpr std::uint64_t kExecute = 1 << 0;
constexpr std::uint64_t kWriteFile = 1 << 1;
constexpr std::uint64_t kReadFile = 1 << 2;
constexpr std::uint64_t kReadFolder = 1 << 3;
constexpr std::uint64_t kRemoveFolder = 1 << 4;
constexpr std::uint64_t kRemoveFile = 1 << 5;
constexpr std::uint64_t kMakeFolder = 1 << 7;
constexpr std::uint64_t kMakeFile = 1 << 8;
constexpr std::uint64_t kMakeSocket = 1 << 9;
constexpr std::uint64_t kVersion1 = (1 << 13) - 1;
constexpr std::uint64_t kRefer = 1 << 13;        // version 2
constexpr std::uint64_t kTruncate = 1 << 14;     // version 3
constexpr std::uint64_t kDeviceIoctl = 1 << 15;  // version 5
constexpr std::uint64_t kTcp = (1 << 0) | (1 << 1);
constexpr std::uint64_t kAbstractSockets = 1 << 0;

/// What a rule for something that is no folder may say.
constexpr std::uint64_t kOfFiles = kExecute | kWriteFile | kReadFile | kTruncate | kDeviceIoctl;

constexpr std::uint64_t rights_of(PathAccess access) {
  switch (access) {
    case PathAccess::Read:
      return kReadFile | kReadFolder;
    case PathAccess::ReadWrite:
      return kReadFile | kReadFolder | kWriteFile | kTruncate | kDeviceIoctl;
    case PathAccess::Sockets:
      return kReadFolder | kMakeSocket | kRemoveFile;
    case PathAccess::All:
      return kReadFile | kReadFolder | kWriteFile | kTruncate | kMakeFile | kMakeFolder | kMakeSocket |
             kRemoveFile | kRemoveFolder | kRefer;
  }
  return 0;
}

std::uint64_t files_of(unsigned version) {
  std::uint64_t handled = kVersion1;
  if (version >= 2) handled |= kRefer;
  if (version >= 3) handled |= kTruncate;
  if (version >= 5) handled |= kDeviceIoctl;
  return handled;
}

std::size_t size_of(unsigned version) {
  if (version >= 6) return sizeof(RulesetAttributes);
  return (version >= 4 ? 2 : 1) * sizeof(std::uint64_t);
}

/// False: errno says why.
bool add_rule(int rules, int file, std::uint64_t rights) {
  const PathAttributes attributes{rights, file};
  return ::syscall(SYS_landlock_add_rule, rules, kPathBeneath, &attributes, 0) == 0;
}

Error failed(const std::string& what) {
  return Error::from_errno(errno, "Landlock: " + what, "run with --landlock off");
}

}  // namespace

unsigned Ruleset::host_version() {
  const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kAskVersion);
  return version < 0 ? 0 : static_cast<unsigned>(version);
}

uvm::Result<Ruleset> Ruleset::create(std::span<const PathRule> rules, unsigned version) {
  const RulesetAttributes attributes{files_of(version), kTcp, kAbstractSockets};
  Fd fd(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, size_of(version), 0)));
  if (!fd) return failed("making a set of rules");
  Ruleset made(std::move(fd), attributes.handled_files);
  for (const PathRule& rule : rules) UVMM_CHECK(made.add(rule));
  return made;
}

uvm::Status Ruleset::add(const PathRule& rule) {
  Fd at(::open(rule.path.c_str(), O_PATH | O_CLOEXEC));
  struct stat info {};
  if (!at || ::fstat(at.get(), &info) != 0) {
    log::event(log::Level::Debug, "no Landlock rule for a path that is not there",
               {{"path", rule.path}, {"error", Error::from_errno(errno, "opening it").text()}});
    return uvm::ok();
  }
  std::uint64_t rights = rights_of(rule.access) & handled_;
  if (!S_ISDIR(info.st_mode)) rights &= kOfFiles;
  if (rights == 0) return uvm::ok();
  if (!add_rule(fd_.get(), at.get(), rights)) return failed("adding a rule for " + rule.path);
  held_.push_back(std::move(at));
  return uvm::ok();
}

uvm::Status Ruleset::let_reopen(int fd) const {
  if (add_rule(fd_.get(), fd, kReadFile)) return uvm::ok();
  // The kernel's own file systems, where memfds are, need no rule and take none.
  return errno == EBADFD ? uvm::ok() : failed("letting a file be opened again");
}

uvm::Status Ruleset::let_make_files(int folder) const {
  if (add_rule(fd_.get(), folder, (kReadFile | kWriteFile | kTruncate) & handled_)) return uvm::ok();
  return failed("letting files be made in a folder");
}

uvm::Status Ruleset::restrict_this_thread() const {
  if (::syscall(SYS_landlock_restrict_self, fd_.get(), 0) == 0) return uvm::ok();
  return failed("restricting a thread");
}

}  // namespace vmm::confine

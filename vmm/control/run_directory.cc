#include "vmm/control/run_directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "vmm/text.h"

namespace vmm::control {
namespace {

namespace fs = std::filesystem;
using uvm::Error;
using uvm::ErrorKind;

constexpr std::string_view kSuffix = ".sock";
constexpr std::string_view kDebuggerSuffix = ".gdb";

std::string directory_of(uid_t owner) {
  return "/tmp/uvmm-" + std::to_string(owner);
}

std::string directory_path() {
  const char* const runtime = std::getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && *runtime == '/') return std::string(runtime) + "/uvmm";
  return directory_of(::geteuid());
}

uvm::Result<std::string> prepare(const std::string& path, uid_t owner) {
  const bool made = ::mkdir(path.c_str(), 0700) == 0;
  if (!made && errno != EEXIST) {
    return Error::from_errno(errno, "making " + path, "set XDG_RUNTIME_DIR, or say --control PATH");
  }
  if (made && owner != ::geteuid() && ::lchown(path.c_str(), owner, static_cast<gid_t>(-1)) != 0) {
    return Error::from_errno(errno, "giving " + path + " away", "say --control PATH");
  }
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return Error::from_errno(errno, path);
  const bool is_theirs = S_ISDIR(info.st_mode) && info.st_uid == owner && (info.st_mode & 0077) == 0;
  if (is_theirs) return path;
  return Error(ErrorKind::Permission,
               path + " is not a directory of " + (owner == ::geteuid() ? "this" : "that") + " user's alone",
               "remove it, or say --control PATH");
}

/// NAME and PID of NAME-PID.
std::pair<std::string_view, std::string_view> halves(std::string_view stem) {
  const auto dash = stem.rfind('-');
  if (dash == std::string_view::npos) return {stem, {}};
  return {stem.substr(0, dash), stem.substr(dash + 1)};
}

bool fits(const std::string& socket, const std::string& machine) {
  const std::string stem = fs::path(socket).stem();
  const auto [name, pid] = halves(stem);
  return stem == machine || name == machine || (!pid.empty() && pid == machine);
}

std::string stem_in(const std::string& directory, const std::string& name, pid_t pid) {
  std::string plain = name.substr(0, 40);
  std::ranges::replace_if(
      plain, [](char c) { return c == '/' || c <= ' ' || c > '~'; }, '_');
  return directory + "/" + plain + "-" + std::to_string(pid);
}

}  // namespace

uvm::Result<std::string> run_directory() {
  return prepare(directory_path(), ::geteuid());
}

uvm::Result<std::string> default_socket(const std::string& name, pid_t pid) {
  UVMM_TRY(const std::string directory, run_directory());
  return stem_in(directory, name, pid) + std::string(kSuffix);
}

uvm::Result<std::string> default_socket(const std::string& name, pid_t pid, uid_t owner) {
  ::unsetenv("XDG_RUNTIME_DIR");
  UVMM_TRY(const std::string directory, prepare(directory_of(owner), owner));
  return stem_in(directory, name, pid) + std::string(kSuffix);
}

uvm::Result<std::string> debugger_socket(const std::string& name, pid_t pid, unsigned number) {
  UVMM_TRY(const std::string directory, run_directory());
  return stem_in(directory, name, pid) + "." + std::to_string(number) + std::string(kDebuggerSuffix);
}

std::vector<std::string> known_sockets() {
  std::vector<std::string> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory_path(), error)) {
    if (entry.is_socket(error) && entry.path().extension() != kDebuggerSuffix) found.push_back(entry.path());
  }
  std::ranges::sort(found);
  return found;
}

SocketOwner owner_of(const std::string& socket) {
  const std::string stem = fs::path(socket).stem();
  const auto [name, pid] = halves(stem);
  SocketOwner owner{std::string(name), 0};
  std::from_chars(pid.data(), pid.data() + pid.size(), owner.pid);
  return owner;
}

uvm::Result<std::string> find_socket(const std::string& machine) {
  if (machine.find('/') != std::string::npos) return machine;
  std::vector<std::string> fitting;
  for (const std::string& path : known_sockets()) {
    if (fits(path, machine)) fitting.push_back(path);
  }
  if (fitting.size() == 1) return fitting.front();
  if (fitting.empty()) {
    return Error(ErrorKind::NotFound, "no machine '" + one_line(machine) + "' runs here",
                 "`uvmm list` shows those that do; a socket is named by its path");
  }
  std::string names;
  for (const std::string& path : fitting)
    names += (names.empty() ? "" : ", ") + fs::path(path).stem().string();
  return Error(ErrorKind::Invalid, "several machines are called '" + one_line(machine) + "'",
               "say one of " + names);
}

}  // namespace vmm::control

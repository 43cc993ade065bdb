#include "vmm/control/children.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <thread>

#include "vmm/control/client.h"
#include "vmm/control/run_directory.h"

namespace vmm::control {
namespace {

using uvm::Error;
using uvm::ErrorKind;

/// posix_spawn() with nothing of this process's but its stderr and environment. It copies no memory, which
/// fork() of a process with a guest in it would.
uvm::Result<pid_t> spawn(std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  sigset_t none;
  sigemptyset(&none);
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  pid_t pid = 0;
  const int failure = ::posix_spawn(&pid, arguments.front(), &files, &attributes, arguments.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&files);
  if (failure != 0) return Error::from_errno(failure, "starting a copy: " + words.front());
  return pid;
}

bool has_ended(pid_t pid) {
  siginfo_t info{};
  const auto id = static_cast<id_t>(pid);
  return ::waitid(P_PID, id, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid;
}

}  // namespace

Children::~Children() {
  const uvm::MutexLock lock(mutex_);
  forget_ended_locked();
}

uvm::Result<Child> Children::start() {
  Child child;
  unsigned number = 0;
  {
    const uvm::MutexLock lock(mutex_);
    forget_ended_locked();
    number = ++started_;
  }
  UVMM_TRY(child.debugger, debugger_socket(name_, number));
  UVMM_TRY(child.pid, spawn({options_.program, "fork", options_.socket, "--name", name_, "--console", "none",
                             "--gdb", "unix:" + child.debugger}));
  {
    const uvm::MutexLock lock(mutex_);
    running_.push_back(child.pid);
  }
  UVMM_TRY(child.socket, default_socket(name_, child.pid));
  UVMM_CHECK(wait_for(child));
  return child;
}

uvm::Status Children::wait_for(const Child& child) const {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(kPatience);
  const std::string what = "the copy, process " + std::to_string(child.pid) + ",";
  while (!ask(child.socket, "status")) {
    if (has_ended(child.pid)) {
      return Error(ErrorKind::Unsupported, what + " ended at once", "see what uvmm has printed");
    }
    if (std::chrono::steady_clock::now() > deadline) {
      return Error(ErrorKind::Busy, what + " does not answer at " + child.socket);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return uvm::ok();
}

void Children::forget_ended_locked() {
  std::erase_if(running_, [](pid_t pid) { return ::waitpid(pid, nullptr, WNOHANG) != 0; });
}

}  // namespace vmm::control

#include "vmm/confine/last_words.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "vmm/machine/config.h"

namespace vmm::confine {
namespace {

std::atomic<void (*)()> before_end{nullptr};
thread_local constinit const char* this_thread = "first";

struct Name {
  int number;
  std::string_view name;
};

/// Those that an attacker would try, and those that a change of libc may bring.
constexpr std::array kNames = {
    Name{SYS_execve, "execve"},   Name{SYS_execveat, "execveat"}, Name{SYS_open, "open"},
    Name{SYS_openat, "openat"},   Name{SYS_openat2, "openat2"},   Name{SYS_socket, "socket"},
    Name{SYS_connect, "connect"}, Name{SYS_bind, "bind"},         Name{SYS_clone, "clone"},
    Name{SYS_clone3, "clone3"},   Name{SYS_fork, "fork"},         Name{SYS_vfork, "vfork"},
    Name{SYS_ptrace, "ptrace"},   Name{SYS_mount, "mount"},       Name{SYS_kill, "kill"},
    Name{SYS_ioctl, "ioctl"},     Name{SYS_fcntl, "fcntl"},       Name{SYS_prctl, "prctl"},
    Name{SYS_setuid, "setuid"},   Name{SYS_unlink, "unlink"},     Name{SYS_bpf, "bpf"}};

/// A line put together without malloc.
class Line {
 public:
  void add(std::string_view text) {
    for (const char letter : text) {
      if (used_ < bytes_.size()) bytes_[used_++] = letter;
    }
  }
  void add(unsigned number) {
    std::array<char, 12> digits{};
    std::size_t at = digits.size();
    do {
      digits[--at] = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number != 0);
    add(std::string_view(digits.data() + at, digits.size() - at));
  }
  void write() const { static_cast<void>(::write(STDERR_FILENO, bytes_.data(), used_) < 0); }

 private:
  std::array<char, 256> bytes_{};
  std::size_t used_ = 0;
};

extern "C" void say_and_end(int /*signal*/, siginfo_t* info, void* /*context*/) {
  if (auto* const before = before_end.load()) before();
  Line line;
  line.add("uvmm: its ");
  line.add(this_thread);
  line.add(" thread made system call ");
  line.add(static_cast<unsigned>(info->si_syscall));
  for (const Name& known : kNames) {
    if (known.number != info->si_syscall) continue;
    line.add(" (");
    line.add(known.name);
    line.add(")");
  }
  line.add(
      ", which it may not; the machine has ended; --seccomp log lets such calls pass and the kernel's log "
      "show them\n");
  line.write();
  ::_exit(static_cast<int>(ExitStatus::Forbidden));
}

}  // namespace

uvm::Status install_last_words(void (*before)()) {
  before_end = before;
  struct sigaction action {};
  action.sa_sigaction = say_and_end;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  if (::sigaction(SIGSYS, &action, nullptr) == 0) return uvm::ok();
  return uvm::Error::from_errno(errno, "installing the handler of forbidden system calls");
}

void set_this_thread(ThreadKind kind) {
  this_thread = to_string(kind);
}

}  // namespace vmm::confine

#include "vmm/virtio/net/passt_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "ept/host/memfd.h"
#include "vmm/text.h"

namespace vmm::virtio::net {
namespace {

constexpr int kSocketThere = 3;  // the number it has in the process
constexpr std::size_t kMostMessageBytes = 16384;

/// A file of a size that cannot grow: who writes more to it gets an error, and nobody's memory fills up.
uvm::Result<Fd> message_file() {
  UVMM_TRY(Fd file, ept::host::make_memfd("passt-messages", kMostMessageBytes));
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) != 0) {
    return uvm::Error::from_errno(errno, "passt: a file for its messages");
  }
  return file;
}

/// What posix_spawn() shall do between fork and exec.
class SpawnActions {
 public:
  SpawnActions(int socket, int messages) {
    ::posix_spawn_file_actions_init(&files_);
    ::posix_spawn_file_actions_addopen(&files_, STDIN_FILENO, "/dev/null", O_RDWR, 0);
    ::posix_spawn_file_actions_adddup2(&files_, STDIN_FILENO, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&files_, messages, STDERR_FILENO);
    ::posix_spawn_file_actions_adddup2(&files_, socket, kSocketThere);
    ::posix_spawnattr_init(&attributes_);
    // A group of its own: a terminal's signals end the guest first. The usual signals, none blocked.
    sigset_t none{};
    sigset_t all{};
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    ::posix_spawnattr_setflags(&attributes_,
                               POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnActions() {
    ::posix_spawn_file_actions_destroy(&files_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;

  /// An errno, or 0.
  [[nodiscard]] int run(const std::string& program, pid_t& pid) {
    std::string name = program;
    std::string foreground = "--foreground";
    std::string quiet = "--quiet";
    std::string fd = "--fd";
    std::string number = std::to_string(kSocketThere);
    const std::array<char*, 6> words{name.data(), foreground.data(), quiet.data(),
                                     fd.data(),   number.data(),     nullptr};
    return ::posix_spawnp(&pid, program.c_str(), &files_, &attributes_, words.data(), environ);
  }

 private:
  posix_spawn_file_actions_t files_{};
  posix_spawnattr_t attributes_{};
};

}  // namespace

uvm::Result<PasstProcess> PasstProcess::start(const std::string& program) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return uvm::Error::from_errno(errno, "passt: socket");
  }
  Fd here(ends[0]);
  // Not under the number it is to have there: a dup2() onto itself would leave it to be closed.
  Fd there(::fcntl(ends[1], F_DUPFD_CLOEXEC, kSocketThere + 1));
  ::close(ends[1]);
  if (!there) return uvm::Error::from_errno(errno, "passt: a descriptor for it");
  UVMM_TRY(Fd messages, message_file());
  // Its end stays blocking, as it wants it.
  ::fcntl(here.get(), F_SETFL, O_NONBLOCK);
  pid_t pid = -1;
  if (const int number = SpawnActions(there.get(), messages.get()).run(program, pid); number != 0) {
    return uvm::Error::from_errno(number, "passt: " + program + " cannot be run",
                                  "install it (Debian's package passt), or use a tap interface");
  }
  Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process) return uvm::Error::from_errno(errno, "passt: a descriptor of its process");
  return PasstProcess(pid, std::move(process), std::move(here), std::move(messages));
}

PasstProcess::~PasstProcess() {
  if (pid_ < 0) return;
  // It has nothing to save, and would end by itself when its socket does.
  ::syscall(SYS_pidfd_send_signal, process_.get(), SIGKILL, nullptr, 0);
  siginfo_t info{};
  while (::waitid(P_PIDFD, static_cast<id_t>(process_.get()), &info, WEXITED) < 0 && errno == EINTR) {
  }
}

std::string PasstProcess::last_words() const {
  std::string text(kMostMessageBytes, '\0');
  const ssize_t got = ::pread(messages_.get(), text.data(), text.size(), 0);
  text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  text.resize(text.find('\0') == std::string::npos ? text.size() : text.find('\0'));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const std::size_t before = text.rfind('\n');
  return one_line(before == std::string::npos ? text : text.substr(before + 1));
}

}  // namespace vmm::virtio::net

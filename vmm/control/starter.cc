#include "vmm/control/starter.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <limits>

namespace vmm::control {

using uvm::Error;

namespace {

enum class Verb : std::uint32_t { Start, HasEnded };

struct Request {
  Verb verb;
  std::uint32_t number;  // of the copy, or of a process
};

/// A process's number, or a negative errno; 1 or 0 for yes and no.
using Answer = std::int64_t;

/// What a terminal or whoever ends the machine's process group sends; it ends when the machine has.
constexpr std::array kIgnored = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGUSR1, SIGPIPE, SIGCHLD};

sigset_t usual_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : kIgnored) sigaddset(&set, number);
  sigaddset(&set, SIGXFSZ);
  return set;
}

/// posix_spawn() copies no memory, as fork() would.
Answer spawn(std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  sigset_t none;
  sigemptyset(&none);
  const sigset_t usual = usual_signals();
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &usual);
  pid_t pid = 0;
  const int failure = ::posix_spawn(&pid, arguments.front(), &files, &attributes, arguments.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&files);
  return failure != 0 ? -failure : pid;
}

Answer answer_to(const Request& request, const Starter::Plan& plan) {
  if (request.verb == Verb::Start) {
    std::vector<std::string> words = plan.words;
    words.push_back(plan.last_word(request.number));
    return spawn(std::move(words));
  }
  // Where SIGCHLD is ignored nobody has to be waited for: who has ended is nobody's child.
  return ::waitpid(static_cast<pid_t>(request.number), nullptr, WNOHANG) != 0 ? 1 : 0;
}

/// Nothing that its parent has open stays open here.
void leave_all_but(int socket) {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  ::dup2(null, STDIN_FILENO);
  ::dup2(null, STDOUT_FILENO);
  constexpr int kSocket = 3;
  if (socket != kSocket) ::dup3(socket, kSocket, O_CLOEXEC);
  ::syscall(SYS_close_range, kSocket + 1, std::numeric_limits<unsigned>::max(), 0);
}

[[noreturn]] void serve(int socket, const Starter::Plan& plan) {
  for (const int number : kIgnored) static_cast<void>(std::signal(number, SIG_IGN));
  static_cast<void>(::prctl(PR_SET_NAME, "uvmm-starter"));
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(1);
  leave_all_but(socket);
  constexpr int kSocket = 3;
  if (plan.begin && !plan.begin()) ::_exit(1);
  Request request{};
  while (::recv(kSocket, &request, sizeof request, 0) == ssize_t{sizeof request}) {
    const Answer answer = answer_to(request, plan);
    if (::send(kSocket, &answer, sizeof answer, MSG_NOSIGNAL) < 0) break;
  }
  ::_exit(0);
}

}  // namespace

uvm::Result<std::shared_ptr<Starter>> Starter::create(const Plan& plan) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return Error::from_errno(errno, "a socket to the process that starts copies");
  }
  Fd here(ends[0]);
  Fd there(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return Error::from_errno(errno, "making the process that starts copies");
  if (child == 0) {
    here.reset();
    serve(there.get(), plan);
  }
  Fd process(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  return std::shared_ptr<Starter>(new Starter(std::move(here), std::move(process)));
}

Starter::~Starter() {
  socket_.reset();
  siginfo_t info{};
  while (::waitid(P_PIDFD, static_cast<id_t>(process_.get()), &info, WEXITED) < 0 && errno == EINTR) {
  }
}

Answer Starter::ask(std::uint32_t verb, std::uint32_t number) const {
  const uvm::MutexLock lock(mutex_);
  const Request request{static_cast<Verb>(verb), number};
  Answer answer = 0;
  if (::send(socket_.get(), &request, sizeof request, MSG_NOSIGNAL) < 0) return -errno;
  ssize_t got = 0;
  do got = ::recv(socket_.get(), &answer, sizeof answer, 0);
  while (got < 0 && errno == EINTR);
  if (got == ssize_t{sizeof answer}) return answer;
  return got < 0 ? -errno : -EPIPE;
}

uvm::Result<pid_t> Starter::start(unsigned number) const {
  const Answer answer = ask(static_cast<std::uint32_t>(Verb::Start), number);
  if (answer >= 0) return static_cast<pid_t>(answer);
  return Error::from_errno(static_cast<int>(-answer), "starting a copy");
}

bool Starter::has_ended(pid_t pid) const {
  return ask(static_cast<std::uint32_t>(Verb::HasEnded), static_cast<std::uint32_t>(pid)) != 0;
}

}  // namespace vmm::control

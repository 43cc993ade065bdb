#include "vmm/control/starter.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <utility>

namespace vmm::control {

using uvm::Error;

enum class Verb : std::uint32_t { Start, HasEnded, KeepReady };

struct Starter::Request {
  Verb verb;
  std::uint32_t number;  // a process's, or how many are to be ready
};

struct Starter::Answer {
  std::int64_t value = 0;    // a process's number, 1 or 0 for yes and no, or a negative errno
  std::uint32_t number = 0;  // of the copy
};

namespace {

/// What a terminal or whoever ends the machine's process group sends; it ends when the machine has.
constexpr std::array kIgnored = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGUSR1, SIGPIPE, SIGCHLD};

sigset_t usual_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : kIgnored) sigaddset(&set, number);
  sigaddset(&set, SIGXFSZ);
  return set;
}

/// posix_spawn() copies no memory, as fork() would. A process's number, or a negative errno.
std::int64_t spawn(std::vector<std::string> words, int input) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  sigset_t none;
  sigemptyset(&none);
  const sigset_t usual = usual_signals();
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
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

/// Where SIGCHLD is ignored nobody has to be waited for: who has ended is nobody's child.
bool is_gone(pid_t pid) {
  return ::waitpid(pid, nullptr, WNOHANG) != 0;
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

}  // namespace

/// The process itself, on the other side of the socket.
class Starter::Process {
 public:
  explicit Process(const Plan& plan) : plan_(plan) {}

  [[noreturn]] void serve(int socket) {
    for (const int number : kIgnored) static_cast<void>(std::signal(number, SIG_IGN));
    static_cast<void>(::prctl(PR_SET_NAME, "uvmm-starter"));
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(1);
    leave_all_but(socket);
    constexpr int kSocket = 3;
    if (plan_.begin && !plan_.begin()) ::_exit(1);
    Request request{};
    while (::recv(kSocket, &request, sizeof request, 0) == ssize_t{sizeof request}) {
      const Answer answer = answer_to(request);
      if (::send(kSocket, &answer, sizeof answer, MSG_NOSIGNAL) < 0) break;
      // Nobody waits for these.
      while (ready_.size() < wanted_ && make_ready() >= 0) {
      }
    }
    ::_exit(0);
  }

 private:
  struct Ready {
    Started copy;
    Fd go;  // its stdin's other end
  };

  Answer answer_to(const Request& request) {
    switch (request.verb) {
      case Verb::HasEnded:
        return {is_gone(static_cast<pid_t>(request.number)) ? 1 : 0, 0};
      case Verb::KeepReady:
        wanted_ = request.number;
        return {wanted_ == 0 || !ready_.empty() ? 0 : std::min(make_ready(), std::int64_t{0}), 0};
      case Verb::Start:
        break;
    }
    if (const auto copy = let_one_begin()) return {copy->pid, copy->number};
    const unsigned number = ++last_;
    return {spawn(words_of(number, {}), STDIN_FILENO), number};
  }

  /// Nothing: none is left.
  std::optional<Started> let_one_begin() {
    while (!ready_.empty()) {
      const Ready first = std::move(ready_.front());
      ready_.pop_front();
      // Nobody reads there any more if it has ended.
      if (::write(first.go.get(), "\n", 1) == 1) return first.copy;
    }
    return std::nullopt;
  }

  /// A negative errno, or not.
  std::int64_t make_ready() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return -errno;
    const Fd there(ends[0]);
    Fd here(ends[1]);
    const unsigned number = ++last_;
    const std::int64_t pid = spawn(words_of(number, plan_.ready_word), there.get());
    if (pid >= 0) ready_.push_back({{static_cast<pid_t>(pid), number}, std::move(here)});
    return pid;
  }

  [[nodiscard]] std::vector<std::string> words_of(unsigned number, const std::string& extra) const {
    std::vector<std::string> words = plan_.words;
    words.push_back(plan_.last_word(number));
    if (!extra.empty()) words.push_back(extra);
    return words;
  }

  const Plan& plan_;
  unsigned last_ = 0;
  std::size_t wanted_ = 0;
  std::deque<Ready> ready_;
};

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
    Process(plan).serve(there.get());
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

Starter::Answer Starter::ask(const Request& request) const {
  const uvm::MutexLock lock(mutex_);
  Answer answer;
  if (::send(socket_.get(), &request, sizeof request, MSG_NOSIGNAL) < 0) return {-errno, 0};
  ssize_t got = 0;
  do got = ::recv(socket_.get(), &answer, sizeof answer, 0);
  while (got < 0 && errno == EINTR);
  if (got == ssize_t{sizeof answer}) return answer;
  return {got < 0 ? -errno : -EPIPE, 0};
}

uvm::Result<Starter::Started> Starter::start() const {
  const Answer answer = ask({Verb::Start, 0});
  if (answer.value >= 0) return Started{static_cast<pid_t>(answer.value), answer.number};
  return Error::from_errno(static_cast<int>(-answer.value), "starting a copy");
}

uvm::Status Starter::keep_ready(unsigned count) const {
  const Answer answer = ask({Verb::KeepReady, count});
  if (answer.value >= 0) return uvm::ok();
  return Error::from_errno(static_cast<int>(-answer.value), "keeping copies ready");
}

bool Starter::has_ended(pid_t pid) const {
  return ask({Verb::HasEnded, static_cast<std::uint32_t>(pid)}).value != 0;
}

}  // namespace vmm::control

#include "tests/support/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

extern char** environ;

namespace test {
namespace {

struct Pipe {
  int read = -1;
  int write = -1;
  Pipe() {
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC) == 0) {
      read = ends[0];
      write = ends[1];
    }
  }
  ~Pipe() {
    close_end(read);
    close_end(write);
  }
  static void close_end(int& fd) {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
};

/// False at the end of the stream.
bool take(int fd, std::string& text) {
  std::array<char, 16384> buffer{};
  const ssize_t got = ::read(fd, buffer.data(), buffer.size());
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return true;
  if (got <= 0) return false;
  text.append(buffer.data(), static_cast<std::size_t>(got));
  return true;
}

class Exchange {
 public:
  Exchange(Pipe& in, Pipe& out, Pipe& err, const ProcessOptions& options)
      : in_(in),
        out_(out),
        err_(err),
        options_(options),
        end_(std::chrono::steady_clock::now() + options.limit) {
    ::fcntl(in.write, F_SETFL, O_NONBLOCK);
  }

  /// Moves bytes until both outputs have ended. False: time is up.
  bool run(ProcessResult& result) {
    while (out_.read >= 0 || err_.read >= 0) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(end_ - std::chrono::steady_clock::now());
      if (left.count() <= 0) return false;
      const bool may_write = has_input(result.out);
      std::array<pollfd, 3> waits{pollfd{out_.read, POLLIN, 0}, pollfd{err_.read, POLLIN, 0},
                                  pollfd{may_write ? in_.write : -1, POLLOUT, 0}};
      if (::poll(waits.data(), waits.size(), static_cast<int>(left.count())) < 0) continue;
      if (waits[0].revents != 0 && !take(out_.read, result.out)) Pipe::close_end(out_.read);
      if (waits[1].revents != 0 && !take(err_.read, result.err)) Pipe::close_end(err_.read);
      if (waits[2].revents != 0) give();
    }
    return true;
  }

 private:
  /// Moves on to the next step that has bytes left and whose cue was seen; ends stdin after the last.
  bool has_input(const std::string& output) {
    while (step_ < options_.input.size()) {
      const ProcessInput& step = options_.input[step_];
      if (!cued_) {
        const auto at = output.find(step.cue, searched_);
        if (at == std::string::npos) return false;
        searched_ = at + step.cue.size();
        cued_ = true;
      }
      if (written_ < step.text.size()) return true;
      ++step_;
      written_ = 0;
      cued_ = false;
    }
    Pipe::close_end(in_.write);
    return false;
  }

  void give() {
    const std::string& text = options_.input[step_].text;
    const ssize_t sent = ::write(in_.write, text.data() + written_, text.size() - written_);
    if (sent > 0) written_ += static_cast<std::size_t>(sent);
    if (sent < 0 && errno == EPIPE) Pipe::close_end(in_.write);
  }

  Pipe& in_;
  Pipe& out_;
  Pipe& err_;
  const ProcessOptions& options_;
  const std::chrono::steady_clock::time_point end_;
  std::size_t step_ = 0;
  std::size_t written_ = 0;   // of this step's text
  std::size_t searched_ = 0;  // output up to the last cue
  bool cued_ = false;
};

pid_t spawn(const std::vector<std::string>& arguments, const Pipe& in, const Pipe& out, const Pipe& err) {
  std::vector<char*> words;
  words.reserve(arguments.size() + 1);
  for (const auto& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.read, 0);
  posix_spawn_file_actions_adddup2(&actions, out.write, 1);
  posix_spawn_file_actions_adddup2(&actions, err.write, 2);
  pid_t pid = -1;
  if (::posix_spawn(&pid, words[0], &actions, nullptr, words.data(), environ) != 0) pid = -1;
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

}  // namespace

ProcessResult run_process(const std::vector<std::string>& arguments, const ProcessOptions& options) {
  ::signal(SIGPIPE, SIG_IGN);
  Pipe in;
  Pipe out;
  Pipe err;
  ProcessResult result;
  const pid_t pid = spawn(arguments, in, out, err);
  if (pid < 0) {
    result.err = "cannot start " + arguments[0];
    return result;
  }
  Pipe::close_end(in.read);
  Pipe::close_end(out.write);
  Pipe::close_end(err.write);
  const bool in_time = Exchange(in, out, err, options).run(result);
  if (!in_time) ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!in_time) return result;
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace test

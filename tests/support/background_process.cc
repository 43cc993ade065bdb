#include "tests/support/background_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <thread>
#include <utility>

extern char** environ;

namespace test {
namespace {

constexpr std::chrono::milliseconds kLook{5};
constexpr std::chrono::seconds kGrace{30};

/// False: `limit` has passed.
bool poll_until(std::chrono::seconds limit, const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(kLook);
  }
  return true;
}

}  // namespace

BackgroundProcess::BackgroundProcess(const std::vector<std::string>& arguments, std::string log)
    : log_(std::move(log)) {
  // Whatever becomes of the test, its machine does not stay.
  std::vector<std::string> all = {"/usr/bin/setpriv", "--pdeathsig", "TERM"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> words;
  for (const auto& argument : all) words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, log_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  if (::posix_spawn(&pid_, words[0], &actions, &attributes, words.data(), environ) != 0) pid_ = -1;
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
}

BackgroundProcess::~BackgroundProcess() {
  if (pid_ < 0) return;
  const pid_t group = pid_;
  if (!has_ended()) {
    ::kill(-group, SIGTERM);
    static_cast<void>(wait(kGrace));
  }
  ::kill(-group, SIGKILL);
  static_cast<void>(wait(kGrace));
}

std::string BackgroundProcess::output(std::size_t from) const {
  std::ifstream file(log_, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(from));
  return {std::istreambuf_iterator<char>(file), {}};
}

std::size_t BackgroundProcess::output_size() const {
  std::error_code error;
  const auto size = std::filesystem::file_size(log_, error);
  return error ? 0 : size;
}

bool BackgroundProcess::prints(const std::string& text, std::size_t from, std::chrono::seconds limit) {
  bool found = false;
  static_cast<void>(poll_until(limit, [&] {
    const bool last = has_ended();
    found = output(from).find(text) != std::string::npos;
    return found || last;
  }));
  return found;
}

int BackgroundProcess::wait(std::chrono::seconds limit) {
  return poll_until(limit, [this] { return has_ended(); }) ? status_ : -1;
}

void BackgroundProcess::kill_at_once() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  static_cast<void>(wait(kGrace));
}

bool BackgroundProcess::has_ended() {
  if (pid_ < 0) return true;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) != pid_) return false;
  status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  pid_ = -1;
  return true;
}

}  // namespace test

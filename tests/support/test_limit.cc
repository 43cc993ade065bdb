#include "tests/support/test_limit.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace test {
namespace {

std::string first_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// Name, scheduler state with times, and where in the kernel it sleeps; of every thread of this program.
void print_threads() {
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", error)) {
    std::fprintf(stderr, "thread %s: %s | wchan %s | syscall %s\n", first_line(task.path() / "comm").c_str(),
                 first_line(task.path() / "stat").c_str(), first_line(task.path() / "wchan").c_str(),
                 first_line(task.path() / "syscall").c_str());
  }
}

}  // namespace

TestLimit::TestLimit(std::chrono::seconds limit) : limit_(limit), thread_([this] { watch(); }) {}

TestLimit::~TestLimit() {
  if (::getpid() != process_) {  // a child of fork() ends by exit(): it has the object, and not the thread
    thread_.detach();
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    done_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void TestLimit::OnTestStart(const testing::TestInfo& info) {
  const std::lock_guard lock(mutex_);
  running_ = std::string(info.test_suite_name()) + "." + info.name();
  ++started_;
  changed_.notify_all();
}

void TestLimit::OnTestEnd(const testing::TestInfo& /*info*/) {
  const std::lock_guard lock(mutex_);
  running_.clear();
  changed_.notify_all();
}

void TestLimit::watch() {
  std::unique_lock lock(mutex_);
  while (!done_) {
    const std::uint64_t seen = started_;
    const auto moved_on = [&] { return done_ || started_ != seen; };
    if (running_.empty()) {
      changed_.wait(lock, [&] { return done_ || !running_.empty(); });
    } else if (!changed_.wait_for(lock, limit_, moved_on) && !running_.empty()) {
      std::fprintf(stderr, "%s did not end in %lld seconds\n", running_.c_str(),
                   static_cast<long long>(limit_.count()));
      print_threads();
      std::abort();
    }
  }
}

}  // namespace test

#include "tests/support/test_limit.h"

#include <unistd.h>

#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>

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

struct TestLimit::Watch {
  explicit Watch(std::chrono::seconds longest) : limit(longest), thread([this] { loop(); }) {}
  ~Watch() {
    tell([this] { done = true; });
    thread.join();
  }

  template <class F>
  void tell(F&& change) {
    const std::lock_guard lock(mutex);
    change();
    changed.notify_all();
  }
  void loop();

  const std::chrono::seconds limit;
  std::mutex mutex;
  std::condition_variable changed;
  std::string running;  // empty between tests
  std::uint64_t started = 0;
  bool done = false;
  std::thread thread;
};

void TestLimit::Watch::loop() {
  std::unique_lock lock(mutex);
  while (!done) {
    const std::uint64_t seen = started;
    if (running.empty()) {
      changed.wait(lock, [&] { return done || !running.empty(); });
    } else if (!changed.wait_for(lock, limit, [&] { return done || running.empty() || started != seen; })) {
      std::fprintf(stderr, "%s did not end in %lld seconds\n", running.c_str(),
                   static_cast<long long>(limit.count()));
      print_threads();
      std::abort();
    }
  }
}

TestLimit::TestLimit(std::chrono::seconds limit) : watch_(std::make_unique<Watch>(limit)) {}

TestLimit::~TestLimit() {
  if (::getpid() != process_) static_cast<void>(watch_.release());
}

void TestLimit::OnTestStart(const testing::TestInfo& info) {
  watch_->tell([&] {
    watch_->running = std::string(info.test_suite_name()) + "." + info.name();
    ++watch_->started;
  });
}

void TestLimit::OnTestEnd(const testing::TestInfo& /*info*/) {
  watch_->tell([&] { watch_->running.clear(); });
}

}  // namespace test

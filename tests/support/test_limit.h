// A test that never ends must not take the rest of the run's time with it, and must say where it stands.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace test {

/// Ends the program (SIGABRT) when one test runs for longer than the limit: prints the test's name and what
/// each thread does. The limit is no measurement; it is far above what the slowest test takes.
class TestLimit : public testing::EmptyTestEventListener {
 public:
  explicit TestLimit(std::chrono::seconds limit);
  ~TestLimit() override;

  void OnTestStart(const testing::TestInfo& info) override;
  void OnTestEnd(const testing::TestInfo& info) override;

 private:
  void watch();

  const std::chrono::seconds limit_;
  const pid_t process_ = ::getpid();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string running_;  // empty between tests
  std::uint64_t started_ = 0;
  bool done_ = false;
  std::thread thread_;
};

}  // namespace test

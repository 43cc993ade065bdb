// A test that never ends must not take the rest of the run's time with it, and must say where it stands.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <memory>

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
  /// On the heap, because a child of fork() that ends by exit() must leave it alone: it has no thread to
  /// join, and its copy of the condition has a waiter for ever.
  struct Watch;

  const pid_t process_ = ::getpid();
  std::unique_ptr<Watch> watch_;
};

/// The same without a thread, and without a word about those of the test: SIGALRM ends the program.
class TestAlarm : public testing::EmptyTestEventListener {
 public:
  explicit TestAlarm(std::chrono::seconds limit) : limit_(limit) {}

  void OnTestStart(const testing::TestInfo& /*info*/) override {
    ::alarm(static_cast<unsigned>(limit_.count()));
  }
  void OnTestEnd(const testing::TestInfo& /*info*/) override { ::alarm(0); }

 private:
  const std::chrono::seconds limit_;
};

}  // namespace test

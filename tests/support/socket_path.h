// Places for a test's sockets.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <string>

namespace test {

/// A path in the test's directory that nobody else uses, another one each time; `what` says in it what it is
/// for.
[[nodiscard]] inline std::string socket_path(const std::string& what) {
  static std::atomic<int> next{0};
  return testing::TempDir() + "uvmm-" + what + "-" + std::to_string(::getpid()) + "-" +
         std::to_string(++next);
}

}  // namespace test

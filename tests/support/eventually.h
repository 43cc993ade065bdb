// Waiting for what another thread or process is about to bring about.
#pragma once

#include <chrono>
#include <functional>
#include <thread>

namespace test {

/// Asks again and again until the answer is yes; no after a minute, which no test on any machine should
/// reach.
[[nodiscard]] inline bool eventually(const std::function<bool()>& is_so) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!is_so()) {
    if (std::chrono::steady_clock::now() > limit) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace test

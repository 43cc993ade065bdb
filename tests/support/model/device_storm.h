// A device that never rests: writes its word of every page that it has pinned, over and over.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <thread>

#include "tests/support/model/scribe_machine.h"

namespace test::model {

/// Owns its thread. The pins stay where they are meanwhile.
class DeviceStorm {
 public:
  using Pins = std::array<std::optional<ScribeMachine::Held>, kDevices>;

  /// Writes values from `first` on, each larger than the one before.
  DeviceStorm(const Pins& pins, std::uint64_t first)
      : next_(first), thread_([this, &pins] {
          do {
            for (const auto& held : pins) {
              for (std::uint64_t i = 0; held && i < held->count; ++i) held->word(i).store(next_++);
            }
            std::this_thread::yield();
          } while (!is_over_);
        }) {}
  ~DeviceStorm() {
    if (thread_.joinable()) static_cast<void>(stop());
  }
  DeviceStorm(const DeviceStorm&) = delete;
  DeviceStorm& operator=(const DeviceStorm&) = delete;

  /// The first value that was not written.
  [[nodiscard]] std::uint64_t stop() {
    is_over_ = true;
    thread_.join();
    return next_;
  }

 private:
  std::uint64_t next_;  // the thread's until it is joined
  std::atomic<bool> is_over_{false};
  std::thread thread_;
};

}  // namespace test::model

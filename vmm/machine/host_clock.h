// The host's clocks, as devices see time.
#pragma once

#include <chrono>

#include "vmm/devices/interfaces.h"

namespace vmm {

class HostClock : public devices::Clock {
 public:
  [[nodiscard]] std::uint64_t monotonic_ns() const override {
    return nanoseconds(std::chrono::steady_clock::now().time_since_epoch());
  }
  [[nodiscard]] std::uint64_t wall_ns() const override {
    return nanoseconds(std::chrono::system_clock::now().time_since_epoch());
  }

 private:
  template <class Duration>
  static std::uint64_t nanoseconds(Duration duration) {
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count());
  }
};

}  // namespace vmm

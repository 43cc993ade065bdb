// The Ctrl-A commands of a console on a terminal, as a pure function of the keys typed.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace vmm {

enum class ConsoleCommand { Leave, Help };

class ConsoleKeys {
 public:
  struct Result {
    std::vector<std::byte> bytes;  // for the guest
    std::vector<ConsoleCommand> commands;
  };
  /// Splits what was typed. A Ctrl-A at the end waits for its key in the next call. Nothing behind a Leave
  /// is looked at.
  [[nodiscard]] Result feed(std::span<const std::byte> typed);

 private:
  bool after_escape_ = false;
};

}  // namespace vmm

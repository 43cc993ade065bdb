#include "vmm/machine/console_keys.h"

namespace vmm {

namespace {

constexpr std::byte kEscape{0x01};  // Ctrl-A

constexpr std::byte key(char c) {
  return static_cast<std::byte>(c);
}

}  // namespace

ConsoleKeys::Result ConsoleKeys::feed(std::span<const std::byte> typed) {
  Result result;
  for (const std::byte byte : typed) {
    if (!after_escape_) {
      after_escape_ = byte == kEscape;
      if (!after_escape_) result.bytes.push_back(byte);
      continue;
    }
    after_escape_ = false;
    if (byte == key('x') || byte == key('X')) {
      result.commands.push_back(ConsoleCommand::Leave);
      return result;
    }
    if (byte == key('h') || byte == key('H') || byte == key('?')) {
      result.commands.push_back(ConsoleCommand::Help);
      continue;
    }
    result.bytes.push_back(kEscape);
    if (byte != kEscape) result.bytes.push_back(byte);
  }
  return result;
}

}  // namespace vmm

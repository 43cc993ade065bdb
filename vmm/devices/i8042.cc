#include "vmm/devices/i8042.h"

namespace vmm::devices {

namespace {

constexpr std::uint8_t kStatusOutputFull = 0x01;
constexpr std::uint8_t kStatusSystem = 0x04;
constexpr std::uint8_t kStatusCommand = 0x08;
constexpr std::uint8_t kStatusUnlocked = 0x10;

constexpr std::uint8_t kControlPowerOn = 0x74;  // system flag set, both ports off, translation on
constexpr std::uint8_t kControlKeyboardOff = 0x10;
constexpr std::uint8_t kControlMouseOff = 0x20;

constexpr std::uint8_t kReadControl = 0x20;
constexpr std::uint8_t kWriteControl = 0x60;
constexpr std::uint8_t kMouseOff = 0xa7;
constexpr std::uint8_t kMouseOn = 0xa8;
constexpr std::uint8_t kTestMouse = 0xa9;
constexpr std::uint8_t kSelfTest = 0xaa;
constexpr std::uint8_t kTestKeyboard = 0xab;
constexpr std::uint8_t kKeyboardOff = 0xad;
constexpr std::uint8_t kKeyboardOn = 0xae;
constexpr std::uint8_t kReadInputPort = 0xc0;
constexpr std::uint8_t kReadOutputPort = 0xd0;
constexpr std::uint8_t kWriteOutputPort = 0xd1;
constexpr std::uint8_t kLoopKeyboard = 0xd2;
constexpr std::uint8_t kLoopMouse = 0xd3;
constexpr std::uint8_t kSendMouse = 0xd4;
constexpr std::uint8_t kPulse = 0xf0;  // 0xf0-0xff: pulses low the output lines whose bit is 0

constexpr std::uint8_t kSelfTestPassed = 0x55;
constexpr std::uint8_t kPortGood = 0x00;
constexpr std::uint8_t kClockStuckLow = 0x01;
constexpr std::uint8_t kInputPort = 0x80;   // keyboard not locked
constexpr std::uint8_t kOutputPort = 0x03;  // not resetting, A20 on
constexpr std::uint8_t kResetLine = 0x01;   // active low

}  // namespace

void I8042::read(std::uint64_t offset, std::span<std::byte> data) {
  uvm::MutexLock lock(mutex_);
  for (std::byte& byte : data) {
    const std::uint64_t port = offset++;
    unsigned value = 0xff;
    if (port == kDataOffset) {
      value = output_.value_or(0);
      output_.reset();
    } else if (port == kCommandOffset) {
      value = kStatusSystem | kStatusUnlocked | last_written_ | (output_ ? kStatusOutputFull : 0U);
    }
    byte = static_cast<std::byte>(value);
  }
}

void I8042::write(std::uint64_t offset, std::span<const std::byte> data) {
  bool wants_reset = false;
  {
    uvm::MutexLock lock(mutex_);
    for (const std::byte byte : data) {
      const auto value = std::to_integer<std::uint8_t>(byte);
      const std::uint64_t port = offset++;
      if (port == kDataOffset) wants_reset |= data_locked(value);
      if (port == kCommandOffset) wants_reset |= command_locked(value);
    }
  }
  if (wants_reset) power_.power({.kind = PowerEvent::Kind::Reset});
}

bool I8042::command_locked(std::uint8_t command) {
  last_written_ = kStatusCommand;
  pending_command_ = 0;
  if (command >= kPulse) return (command & kResetLine) == 0;
  switch (command) {
    case kReadControl:
      output_ = control_;
      break;
    case kMouseOff:
      control_ |= kControlMouseOff;
      break;
    case kMouseOn:
      control_ &= static_cast<std::uint8_t>(~kControlMouseOff);
      break;
    case kTestMouse:
      output_ = kClockStuckLow;
      break;
    case kSelfTest:
      output_ = kSelfTestPassed;
      break;
    case kTestKeyboard:
      output_ = kPortGood;
      break;
    case kKeyboardOff:
      control_ |= kControlKeyboardOff;
      break;
    case kKeyboardOn:
      control_ &= static_cast<std::uint8_t>(~kControlKeyboardOff);
      break;
    case kReadInputPort:
      output_ = kInputPort;
      break;
    case kReadOutputPort:
      output_ = kOutputPort;
      break;
    case kWriteControl:
    case kWriteOutputPort:
    case kLoopKeyboard:
    case kLoopMouse:
    case kSendMouse:
      pending_command_ = command;
      break;
    default:
      break;
  }
  return false;
}

bool I8042::data_locked(std::uint8_t value) {
  last_written_ = 0;
  const std::uint8_t command = pending_command_;
  pending_command_ = 0;
  switch (command) {
    case kWriteControl:
      control_ = value;
      return false;
    case kWriteOutputPort:
      return (value & kResetLine) == 0;
    case kLoopKeyboard:
    case kLoopMouse:  // without the status bit that says "from the mouse": the loop test fails, at once
      output_ = value;
      return false;
    default:
      return false;
  }
}

void I8042::state(StateFields& fields) {
  uvm::MutexLock lock(mutex_);
  for (std::uint8_t* const one : {&control_, &last_written_, &pending_command_}) fields.field(*one);
  fields.require(last_written_ == 0 || last_written_ == kStatusCommand, "status");
  fields.field(output_);
}

void I8042::reset() {
  uvm::MutexLock lock(mutex_);
  control_ = kControlPowerOn;
  last_written_ = 0;
  pending_command_ = 0;
  output_.reset();
}

}  // namespace vmm::devices

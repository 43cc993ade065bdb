// Keyboard controller without a keyboard: ports 0x60 (offset 0) and 0x64 (offset 4).
//
// It is here for its reset line (command 0xfe) and because a guest that probes it must get an answer: each
// command that promises a byte delivers one at once, since Linux waits half a second for one that does not
// come. The mouse port tests as broken, so Linux drops it in two commands. Bytes for the keyboard vanish.
// Source: the 8042 as IBM's PS/2 reference describes it; Linux' drivers/input/serio/i8042.c for the probes.
#pragma once

#include <cstdint>
#include <optional>

#include "uvm/base/lock.h"
#include "vmm/devices/interfaces.h"
#include "vmm/devices/state.h"

namespace vmm::devices {

class I8042 final : public BusDevice, public Stateful {
 public:
  static constexpr std::uint64_t kDataOffset = 0;     // port 0x60, one byte
  static constexpr std::uint64_t kCommandOffset = 4;  // port 0x64, one byte

  explicit I8042(PowerSink& power) : power_(power) {}

  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;
  void reset();
  [[nodiscard]] std::string_view state_name() const override { return "i8042"; }
  void state(StateFields& fields) override;

 private:
  /// Whether the write asks for a reset of the machine.
  [[nodiscard]] bool command_locked(std::uint8_t command) REQUIRES(mutex_);
  [[nodiscard]] bool data_locked(std::uint8_t value) REQUIRES(mutex_);

  PowerSink& power_;
  mutable uvm::Mutex mutex_{uvm::LockRank::Device};
  std::uint8_t control_ GUARDED_BY(mutex_) = 0x74;       // "command byte": system flag, both ports off
  std::uint8_t last_written_ GUARDED_BY(mutex_) = 0;     // status bit 3: 8 for a command
  std::uint8_t pending_command_ GUARDED_BY(mutex_) = 0;  // waits for its data byte; 0 for none
  std::optional<std::uint8_t> output_ GUARDED_BY(mutex_);
};

}  // namespace vmm::devices

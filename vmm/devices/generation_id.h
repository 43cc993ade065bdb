// VMGenID: 16 random bytes in guest memory, and an interrupt when they have become others.
//
// They change where the guest's time branches: in each copy of a machine and at each return to an earlier
// moment, but never in the machine that was copied. A guest that sees them change throws away what must not
// be used twice; Linux reseeds its random numbers (drivers/virt/vmgenid.c). Source: Microsoft, "Virtual
// Machine Generation ID", 2012. The tables that tell a guest of it are guest/acpi's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "uvm/base/lock.h"
#include "uvm/base/units.h"
#include "vmm/devices/interfaces.h"
#include "vmm/devices/state.h"

namespace vmm::devices {

/// Whether the guest gets to hear of new bytes. One that boots finds them by itself.
enum class Tell : std::uint8_t { Nobody, Guest };

/// Does not see guest memory: whoever gives it bytes has written them there.
class GenerationId final : public Stateful {
 public:
  using Bytes = std::array<std::byte, 16>;

  explicit GenerationId(IrqLine& line) : line_(line) {}

  /// Where the guest's tables say the bytes are. Nowhere at first: such a guest knows of none.
  void set_place(uvm::Gpa gpa);
  [[nodiscard]] std::optional<uvm::Gpa> place() const;
  [[nodiscard]] Bytes bytes() const;
  /// Any thread, with every vCPU stopped: the bytes and the interrupt are there before the next instruction.
  void renew(const Bytes& bytes, Tell tell);

  [[nodiscard]] std::string_view state_name() const override { return "generation-id"; }
  void state(StateFields& fields) override;

 private:
  IrqLine& line_;
  mutable uvm::Mutex mutex_{uvm::LockRank::Device};
  std::optional<std::uint64_t> gpa_ GUARDED_BY(mutex_);
  Bytes bytes_ GUARDED_BY(mutex_){};
};

}  // namespace vmm::devices

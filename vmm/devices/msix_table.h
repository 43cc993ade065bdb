// MSI-X of one function (PCI 3.0, 6.8.2): capability, table of messages, pending bits.
//
// A vector is raised in one of two ways. By a word to raise(), from this process. Or by an eventfd
// (MsiEvent), from the kernel or from another process, with nothing of ours in between: then the message of
// the vector's entry is the event's as long as it may be delivered, and while the entry, the function or
// MSI-X as a whole is masked the events are held. A held event is the pending bit: nothing is lost, nothing
// is counted, and the bit goes out when the mask is lifted, as the specification wants it.
//
// A guest writes an entry in three or four pieces and is told to mask it meanwhile. One that does not mask
// gets messages that are half old and half new, as from hardware.
//
// There is no INTx: a function made of this has no interrupt pin, and a driver that cannot do MSI-X gets no
// interrupts. All that run on machines without a PIC can.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/devices/interfaces.h"
#include "vmm/devices/pci_config_space.h"

namespace vmm::devices {

/// Thread: one at a time; a function guards it with its lock. What others raise by eventfd takes no lock.
class MsixTable {
 public:
  static constexpr unsigned kMostVectors = 2048;

  /// Where a function shows the table and the pending bits: offsets into a BAR, multiples of 8.
  struct Place {
    unsigned bar = 0;
    std::uint32_t table = 0;
    std::uint32_t pending = 0;
  };

  /// `vectors`: 1 to kMostVectors.
  MsixTable(MsiSink& sink, unsigned vectors);

  /// Every vector gets an eventfd. Errors: as MsiEvents::create_event().
  [[nodiscard]] uvm::Status back_by_events(MsiEvents& events);
  /// That of a vector; null without back_by_events(), or when there is no such vector.
  [[nodiscard]] const Fd* event(unsigned vector) const;

  /// Errors: as PciConfigSpace::add_capability().
  [[nodiscard]] uvm::Status add_capability(PciConfigSpace& config, const Place& place);
  /// For a function whose space is a copy of a real one: the capability is at `offset` there already.
  void set_capability(PciConfigSpace& config, std::uint64_t offset);
  /// To be called after each write to the space, and after its reset.
  void follow(const PciConfigSpace& config);

  /// Bytes of the table and of the pending bits.
  [[nodiscard]] std::uint64_t table_bytes() const { return vectors_.size() * kEntryBytes; }
  [[nodiscard]] std::uint64_t pending_bytes() const { return (vectors_.size() + 63) / 64 * 8; }
  /// Any offset and size; what lies behind the end reads as zeros and takes no write.
  void read_table(std::uint64_t offset, std::span<std::byte> data) const;
  void write_table(std::uint64_t offset, std::span<const std::byte> data);
  void read_pending(std::uint64_t offset, std::span<std::byte> data) const;

  /// One interrupt. A vector that does not exist raises nothing.
  void raise(unsigned vector);
  /// The table at power-on: every entry masked. Nothing is pending.
  void reset();
  /// The table and what is pending; follow() has been called for the space of the same state.
  void state(StateFields& fields);

  [[nodiscard]] unsigned vectors() const { return static_cast<unsigned>(vectors_.size()); }
  /// Whether the guest has turned MSI-X on.
  [[nodiscard]] bool enabled() const { return enabled_; }
  /// Messages that could not be delivered.
  [[nodiscard]] std::uint64_t delivery_failures() const { return failures_; }

 private:
  static constexpr std::uint64_t kEntryBytes = 16;

  struct Vector {
    MsiMessage message;
    std::uint32_t control = 1;  // bit 0: masked
    bool pending = false;       // raised while masked; of a vector without event
    std::unique_ptr<MsiEvent> event;
  };

  [[nodiscard]] bool deliverable(const Vector& vector) const;
  [[nodiscard]] static std::uint32_t word(const Vector& vector, std::uint64_t index);
  static void set_word(Vector& vector, std::uint64_t index, std::uint32_t value);
  [[nodiscard]] static bool is_pending(const Vector& vector);
  /// Lets out, or holds, what the vector's state asks for.
  void update(Vector& vector);
  void raise(Vector& vector);
  static void drop_pending(Vector& vector);
  void count(const uvm::Status& status);

  MsiSink& sink_;
  std::vector<Vector> vectors_;
  std::uint64_t capability_ = 0;
  bool enabled_ = false;
  bool function_masked_ = false;
  std::uint64_t failures_ = 0;
};

}  // namespace vmm::devices

// The registers in which a driver and a device agree: virtio 1.2, 4.1.4.3 (struct virtio_pci_common_cfg), and
// the life that the status register leads (2.1, 3.1.1).
//
//   0 --ACKNOWLEDGE, DRIVER--> features --FEATURES_OK--> queues --DRIVER_OK--> started
//   anything --write of 0--> Resetting (status still reads as it was) --complete_reset()--> 0
//
// Bits of the status are only ever added; FEATURES_OK stays off when the driver took a feature that was not
// offered, or left VERSION_1 out. Features cannot be changed after FEATURES_OK, nor queues after they are
// enabled or the device has been started.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "vmm/devices/state.h"

namespace vmm::virtio {

namespace status {
inline constexpr std::uint8_t kAcknowledge = 1;
inline constexpr std::uint8_t kDriver = 2;
inline constexpr std::uint8_t kDriverOk = 4;
inline constexpr std::uint8_t kFeaturesOk = 8;
inline constexpr std::uint8_t kNeedsReset = 64;
inline constexpr std::uint8_t kFailed = 128;
}  // namespace status

/// Registers and nothing else. Thread: one at a time.
class CommonConfig {
 public:
  static constexpr std::uint64_t kBytes = 56;
  static constexpr std::uint16_t kNoVector = 0xffff;

  /// What the device has to offer; never changes.
  struct Shape {
    std::uint64_t features = 0;
    unsigned queues = 0;
    std::uint16_t queue_limit = 0;  // entries, a power of two
    unsigned vectors = 0;           // of MSI-X
  };
  /// A queue's registers.
  struct QueueRegisters {
    std::uint16_t size = 0;
    std::uint16_t vector = kNoVector;
    bool enabled = false;
    std::uint64_t descriptors = 0;
    std::uint64_t driver_area = 0;
    std::uint64_t device_area = 0;
  };
  /// What a write asks of whoever has the registers.
  enum class Request : std::uint8_t { None, Start, Reset };

  explicit CommonConfig(const Shape& shape);

  /// Any offset and size; zeros behind the end.
  void read(std::uint64_t offset, std::span<std::byte> data) const;
  [[nodiscard]] Request write(std::uint64_t offset, std::span<const std::byte> data);

  /// Ends what Request::Reset began: everything is as at power-on.
  void complete_reset();
  void set_needs_reset() { status_ |= status::kNeedsReset; }
  /// The device's own configuration has changed.
  void next_generation() { ++generation_; }
  /// All registers, while nobody writes them and no reset is under way.
  void state(devices::StateFields& fields);

  [[nodiscard]] std::uint8_t status() const { return status_; }
  /// What the driver has accepted.
  [[nodiscard]] std::uint64_t features() const { return accepted_; }
  [[nodiscard]] std::uint16_t config_vector() const { return config_vector_; }
  [[nodiscard]] std::span<const QueueRegisters> queues() const { return queues_; }

 private:
  enum class Register : std::uint8_t;
  struct Place;  // of a register
  struct Map;    // of all places

  [[nodiscard]] std::uint64_t get(Register which) const;
  void set(Register which, std::uint64_t value);
  void set_of_queue(Register which, std::uint64_t value);
  void set_accepted(std::uint64_t half);
  void set_status(std::uint8_t value);
  [[nodiscard]] std::uint16_t vector_or_none(std::uint64_t value) const;
  /// The selected queue; one that reads as zeros when there is none.
  [[nodiscard]] const QueueRegisters& selected() const;

  const Shape shape_;
  std::uint32_t offered_select_ = 0;
  std::uint32_t accepted_select_ = 0;
  std::uint64_t accepted_ = 0;
  std::uint16_t config_vector_ = kNoVector;
  std::uint8_t status_ = 0;
  std::uint8_t generation_ = 0;
  std::uint16_t queue_select_ = 0;
  std::vector<QueueRegisters> queues_;
  bool resetting_ = false;
  Request request_ = Request::None;
};

}  // namespace vmm::virtio

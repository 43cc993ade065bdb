// How a device's state leaves it and comes back: one list of fields for both directions.
//
// A device names its fields once, in state(), under its lock and with every vCPU stopped; a StateFields takes
// copies of them (save) or puts values into them (restore). So nothing can be saved that is not restored, and
// the order is the same by construction. What the fields look like in a file is vmm/snapshot's business.
//
// What comes from a file is not to be trusted: a value that no guest could have brought about is refused with
// require(), and an index is masked where it is used. After a refusal the device is in a state of its own
// making, and the machine it belongs to is given up, or restored again.
#pragma once

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace vmm::devices {

class StateFields {
 public:
  virtual ~StateFields() = default;

  [[nodiscard]] virtual bool restoring() const = 0;
  /// Of the state that is read, which may be older than the device; when saving, the device's own.
  [[nodiscard]] virtual std::uint32_t version() const = 0;
  /// In or out, as many as there are.
  virtual void bytes(std::span<std::byte> data) = 0;
  /// The same with a length that the state knows; more than `limit` bytes are refused.
  virtual void blob(std::vector<std::byte>& data, std::size_t limit) = 0;
  /// Refuses the state, unless `right`. `what` completes "its … is impossible". The first refusal counts.
  virtual void require(bool right, std::string_view what) = 0;

  /// Numbers, enums and bools: little-endian, in their own width.
  template <class T>
  requires std::integral<T> || std::is_enum_v<T>
  void field(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      std::uint8_t byte = value ? 1 : 0;
      field(byte);
      require(byte <= 1, "a flag");
      value = byte == 1;
    } else {
      bytes(std::as_writable_bytes(std::span(&value, 1)));
    }
  }
  template <std::integral T>
  void field(std::atomic<T>& value) {
    T plain = value.load();
    field(plain);
    value.store(plain);
  }
  template <std::integral T>
  void field(std::optional<T>& value) {
    bool there = value.has_value();
    field(there);
    T plain = value.value_or(T{});
    field(plain);
    value = there ? std::optional<T>(plain) : std::nullopt;
  }
};

/// Something with state. Thread: any, while every vCPU is stopped.
class Stateful {
 public:
  virtual ~Stateful() = default;
  /// In files and messages, for ever; at most 31 characters.
  [[nodiscard]] virtual std::string_view state_name() const = 0;
  /// Goes up when the list of fields changes; state() still reads the older ones, by StateFields::version().
  [[nodiscard]] virtual std::uint16_t state_version() const { return 1; }
  virtual void state(StateFields& fields) = 0;
};

}  // namespace vmm::devices

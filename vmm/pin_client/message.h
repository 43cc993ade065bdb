// One packet: bytes and the descriptors that come with them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/kvm/fd.h"
#include "vmm/pin_client/protocol.h"

namespace vmm::pins {

/// Put together field by field, taken apart in the same order.
class Message {
 public:
  Message() = default;
  explicit Message(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}

  template <class T>
  void put(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    const std::size_t at = bytes_.size();
    bytes_.resize(at + sizeof value);
    std::memcpy(bytes_.data() + at, &value, sizeof value);
  }
  void put_text(std::string_view text);

  /// False, and `value` as it was, when less is left.
  template <class T>
  [[nodiscard]] bool take(T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (left() < sizeof value) return false;
    std::memcpy(&value, bytes_.data() + taken_, sizeof value);
    taken_ += sizeof value;
    return true;
  }
  [[nodiscard]] std::string_view take_text();
  [[nodiscard]] std::size_t left() const { return bytes_.size() - taken_; }

  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

  /// Descriptors that travel with it; owned by the message.
  std::vector<Fd> fds;

 private:
  std::vector<std::byte> bytes_;
  std::size_t taken_ = 0;
};

/// Sends one packet. Errors: EndOfObject (the peer has gone), Busy (it does not take it now; only of a
/// non-blocking socket), System.
[[nodiscard]] uvm::Status send(int socket, const Message& message);

/// Receives one packet. Errors: EndOfObject (the peer has gone), Busy (there is none; only of a non-blocking
/// socket), Invalid (longer than kMostBytes, or with more descriptors than allowed; they are closed), System.
[[nodiscard]] uvm::Result<Message> receive(int socket);

}  // namespace vmm::pins

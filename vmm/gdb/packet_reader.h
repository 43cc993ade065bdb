// The receiving half of the packet layer: bytes in any pieces, events out. Pure, no I/O.
//
//   $payload#cs   a packet: cs is the sum of the payload's bytes as sent, two hexadecimal digits. In it, `}x`
//                 stands for x ^ 0x20. A `$` inside begins anew: what came before was cut off.
//   +  -          acknowledgements          0x03   an interrupt
//
// 0x03 inside a packet is data of a binary one (gdb does not escape it in X) or an interrupt that overtook
// it. The checksum tells: the sender counted it in the first case only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vmm::gdb {

/// What qSupported offers as PacketSize: characters of one packet, frame and checksum included.
inline constexpr std::size_t kPacketSize = 0x20000;

struct PacketEvent {
  enum class Kind : std::uint8_t {
    Packet,       // payload, unescaped
    Interrupt,    // 0x03
    Ack,          // '+'
    Nak,          // '-'
    BadChecksum,  // a whole packet whose checksum is wrong or no number
    TooLong,      // a whole packet of more than kPacketSize characters; what it said is gone
    Noise,        // a run of bytes that are none of these
  };
  Kind kind = Kind::Noise;
  std::string payload;
};

class PacketReader {
 public:
  /// Consumes from the front of `bytes` up to and with the first thing complete. Nothing: all was consumed
  /// and more is needed. Memory is bounded by kPacketSize.
  [[nodiscard]] std::optional<PacketEvent> next(std::string_view& bytes);
  /// Inside a packet: a half of one would be lost.
  [[nodiscard]] bool in_packet() const { return state_ != State::Between; }

 private:
  enum class State : std::uint8_t { Between, Payload, FirstDigit, SecondDigit };

  std::optional<PacketEvent> between(std::string_view& bytes);
  void collect(std::string_view& bytes);
  void begin();
  PacketEvent finish(char second);
  /// Adds what is between two marks of a packet to payload_, still escaped.
  void append(std::string_view part);
  [[nodiscard]] std::string unescaped(bool without_interrupts) const;

  State state_ = State::Between;
  std::string payload_;  // as received
  bool too_long_ = false;
  std::uint8_t sum_ = 0;
  std::uint8_t interrupts_ = 0;  // 0x03 seen in this packet; its sum only matters modulo 256
  bool saw_interrupt_ = false;
  bool interrupt_pending_ = false;  // one that overtook the packet just delivered
  char first_digit_ = 0;
};

}  // namespace vmm::gdb

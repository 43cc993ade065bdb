#include "vmm/gdb/packet_reader.h"

#include <algorithm>
#include <utility>

#include "vmm/gdb/hex.h"

namespace vmm::gdb {
namespace {

constexpr char kInterrupt = '\x03';
constexpr char kEscape = '}';
/// '$', '#' and two digits.
constexpr std::size_t kFrame = 4;

}  // namespace

std::optional<PacketEvent> PacketReader::next(std::string_view& bytes) {
  if (std::exchange(interrupt_pending_, false)) return PacketEvent{PacketEvent::Kind::Interrupt, {}};
  while (!bytes.empty()) {
    switch (state_) {
      case State::Between:
        if (auto event = between(bytes)) return event;
        break;
      case State::Payload:
        collect(bytes);
        break;
      case State::FirstDigit:
        first_digit_ = bytes.front();
        bytes.remove_prefix(1);
        state_ = State::SecondDigit;
        break;
      case State::SecondDigit: {
        const char second = bytes.front();
        bytes.remove_prefix(1);
        return finish(second);
      }
    }
  }
  return std::nullopt;
}

std::optional<PacketEvent> PacketReader::between(std::string_view& bytes) {
  constexpr std::string_view kMarks = "$+-\x03";
  const std::size_t noise = std::min(bytes.find_first_of(kMarks), bytes.size());
  if (noise > 0) {
    bytes.remove_prefix(noise);
    return PacketEvent{PacketEvent::Kind::Noise, {}};
  }
  const char mark = bytes.front();
  bytes.remove_prefix(1);
  if (mark == '+') return PacketEvent{PacketEvent::Kind::Ack, {}};
  if (mark == '-') return PacketEvent{PacketEvent::Kind::Nak, {}};
  if (mark == kInterrupt) return PacketEvent{PacketEvent::Kind::Interrupt, {}};
  begin();
  return std::nullopt;
}

void PacketReader::begin() {
  state_ = State::Payload;
  payload_.clear();
  too_long_ = false;
  sum_ = 0;
  interrupts_ = 0;
  saw_interrupt_ = false;
}

void PacketReader::collect(std::string_view& bytes) {
  // Two searches for one byte each: a search for either takes every byte by itself.
  const std::size_t mark = std::min(bytes.find('#'), bytes.size());
  const std::size_t end = std::min(bytes.substr(0, mark).find('$'), mark);
  append(bytes.substr(0, end));
  bytes.remove_prefix(end);
  if (bytes.empty()) return;
  if (bytes.front() == '$') {
    begin();
  } else {
    state_ = State::FirstDigit;
  }
  bytes.remove_prefix(1);
}

void PacketReader::append(std::string_view part) {
  for (const char each : part) sum_ = static_cast<std::uint8_t>(sum_ + static_cast<unsigned char>(each));
  const auto interrupts = std::ranges::count(part, kInterrupt);
  interrupts_ = static_cast<std::uint8_t>(interrupts_ + interrupts);
  saw_interrupt_ |= interrupts != 0;
  if (payload_.size() + part.size() > kPacketSize - kFrame) too_long_ = true;
  if (!too_long_) payload_ += part;
}

PacketEvent PacketReader::finish(char second) {
  state_ = State::Between;
  const int high = hex_digit(first_digit_);
  const int low = hex_digit(second);
  if (high < 0 || low < 0) return {PacketEvent::Kind::BadChecksum, {}};
  const auto said = static_cast<std::uint8_t>(high * 16 + low);
  const auto without = static_cast<std::uint8_t>(sum_ - 3 * interrupts_);
  const bool overtaken = saw_interrupt_ && said != sum_;
  if (said != (overtaken ? without : sum_)) return {PacketEvent::Kind::BadChecksum, {}};
  interrupt_pending_ = overtaken;
  if (too_long_) return {PacketEvent::Kind::TooLong, {}};
  return {PacketEvent::Kind::Packet, unescaped(overtaken)};
}

std::string PacketReader::unescaped(bool without_interrupts) const {
  std::string plain = payload_;
  if (without_interrupts) std::erase(plain, kInterrupt);
  std::string out;
  out.reserve(plain.size());
  std::string_view left = plain;
  while (true) {
    const std::size_t escape = left.find(kEscape);
    out += left.substr(0, escape);
    if (escape == std::string_view::npos || escape + 1 == left.size()) return out;
    out += static_cast<char>(left[escape + 1] ^ 0x20);
    left.remove_prefix(escape + 2);
  }
}

}  // namespace vmm::gdb

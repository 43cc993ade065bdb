#include "vmm/gdb/packet_writer.h"

#include <cstdint>

namespace vmm::gdb {

std::string framed(std::string_view payload) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::uint8_t sum = 0;
  for (const char each : payload) sum = static_cast<std::uint8_t>(sum + static_cast<unsigned char>(each));
  std::string packet;
  packet.reserve(payload.size() + 4);
  packet += '$';
  packet += payload;
  packet += '#';
  packet += kDigits[sum >> 4U];
  packet += kDigits[sum & 0xfU];
  return packet;
}

void PacketWriter::send(std::string_view payload) {
  std::string packet = framed(payload);
  wire_.send(packet);
  if (acknowledges_) last_ = std::move(packet);
}

void PacketWriter::resend() {
  if (!last_.empty()) wire_.send(last_);
}

void PacketWriter::accept() {
  if (acknowledges_) wire_.send("+");
}

void PacketWriter::refuse() {
  if (acknowledges_) wire_.send("-");
}

void PacketWriter::stop_acknowledging() {
  acknowledges_ = false;
  last_.clear();
}

}  // namespace vmm::gdb

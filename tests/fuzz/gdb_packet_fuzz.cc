// The packet layer: whatever bytes, in whatever pieces, give the same events; and what is sent comes back.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "vmm/gdb/hex.h"
#include "vmm/gdb/packet_reader.h"
#include "vmm/gdb/packet_writer.h"

namespace {

using vmm::gdb::PacketEvent;
using vmm::gdb::PacketReader;

void require(bool condition) {
  if (!condition) std::abort();
}

/// Events as text; noise, whose runs depend on the pieces, is left out.
void read(PacketReader& reader, std::string_view bytes, std::string& events) {
  while (const auto event = reader.next(bytes)) {
    if (event->kind == PacketEvent::Kind::Noise) continue;
    events += static_cast<char>('0' + static_cast<int>(event->kind));
    events += event->payload;
    require(event->payload.size() <= vmm::gdb::kPacketSize);
  }
  require(bytes.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  std::string whole;
  PacketReader at_once;
  read(at_once, bytes, whole);
  std::string pieces;
  PacketReader bytewise;
  for (std::size_t i = 0; i < size; ++i) read(bytewise, bytes.substr(i, 1), pieces);
  require(whole == pieces);

  std::string payload;
  const std::size_t taken =
      vmm::gdb::append_escaped(payload, vmm::gdb::bytes_of(bytes), vmm::gdb::kPacketSize - 4);
  PacketReader again;
  const std::string packet = vmm::gdb::framed(payload);
  std::string_view rest = packet;
  const auto event = again.next(rest);
  require(event && event->kind == PacketEvent::Kind::Packet && event->payload == bytes.substr(0, taken));
  return 0;
}

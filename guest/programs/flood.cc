// Floods the serial port, then says how many bytes it sent and their FNV-1a hash, so that the other end can
// tell whether any was lost. room=ignore does not wait for room in the transmitter: then losses are the
// guest's fault.
#include "guest/programs/rt/rt.h"

namespace {

/// Printable, and different from line to line.
char byte_at(std::uint64_t n) {
  if (n % 64 == 63) return '\n';
  return static_cast<char>('!' + (n * 7 + n / 64) % 94);
}

}  // namespace

extern "C" void user_main(const rt::BuiltinInfo* info) {
  rt::check(*info);
  const std::uint64_t bytes = rt::number(*info, "bytes", 16384);
  const bool ignore_room = rt::is(rt::argument(*info, "room"), "ignore");
  std::uint64_t hash = 0xcbf2'9ce4'8422'2325;
  for (std::uint64_t n = 0; n < bytes; ++n) {
    const char c = byte_at(n);
    hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100'0000'01b3;
    if (ignore_room) {
      rt::out8(guest::programs::kSerialPort, static_cast<std::uint8_t>(c));
    } else {
      rt::put(c);
    }
  }
  rt::print("\nflood:");
  rt::print_field("bytes", bytes);
  rt::print(" fnv1a=");
  rt::print_hex(hash);
  rt::put('\n');
  rt::finish(0);
}

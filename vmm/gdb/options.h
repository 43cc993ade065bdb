// How a machine lets debuggers in: what --gdb, -s, -S, --gdb-on-kill and --gdb-on-disconnect say.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "uvm/base/error.h"

namespace vmm::gdb {

/// Where a server listens. Exactly one of the two is meant.
struct ListenAddress {
  std::string path;                // a unix socket's; empty: TCP
  std::string host = "127.0.0.1";  // a numeric address
  std::uint16_t port = 0;          // 0: the system chooses one
  friend bool operator==(const ListenAddress&, const ListenAddress&) = default;
};

/// -s: where QEMU listens, and what every tutorial tells the debugger. Loopback only.
inline constexpr std::string_view kUsualAddress = "tcp:127.0.0.1:1234";

/// "tcp:PORT" (loopback), "tcp:ADDRESS:PORT", "tcp:[V6ADDRESS]:PORT", "unix:PATH"; "tcp::PORT" as QEMU spells
/// the first. Whoever reaches the port owns the guest, so other addresses must be written out. Invalid.
[[nodiscard]] uvm::Result<ListenAddress> parse_listen_address(std::string_view text);
/// In the form that parse_listen_address takes.
[[nodiscard]] std::string to_string(const ListenAddress& address);

/// What a debugger's `k` does to the machine. lldb sends it at the end of every session.
enum class OnKill : std::uint8_t { Detach, Kill };

/// What becomes of the guest when a connection ends without a word. Breakpoints are gone in any case.
enum class OnDisconnect : std::uint8_t {
  Resume,
  Stay,  // stopped, until the next debugger lets it go
  Kill,
};

/// -S: vCPUs run when a debugger has let them, not before.
enum class AtStart : std::uint8_t { Run, Wait };

struct Options {
  std::optional<ListenAddress> listen;  // nothing: no server
  AtStart at_start = AtStart::Run;
  OnKill on_kill = OnKill::Detach;
  OnDisconnect on_disconnect = OnDisconnect::Resume;
  /// A connected socket of this process: the debugger of the machine that this one is a copy of waits at its
  /// other end and finds the copy stopped. -1: none. The server closes it.
  int inherited = -1;
};

}  // namespace vmm::gdb

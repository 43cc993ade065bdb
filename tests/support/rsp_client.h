// A debugger's end of the remote protocol, for tests that send what no debugger would.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "vmm/gdb/options.h"
#include "vmm/gdb/packet_reader.h"
#include "vmm/kvm/fd.h"

namespace test {

/// Blocking; every wait ends after kPatience, which no test on any machine should reach.
class RspClient {
 public:
  static constexpr int kPatience = 60;  // seconds

  /// Not connected when nobody listens there.
  explicit RspClient(const vmm::gdb::ListenAddress& address);

  [[nodiscard]] bool is_connected() const { return fd_.valid(); }
  /// False: the peer has closed.
  bool send(std::string_view bytes);
  /// The next packet's payload, unescaped; nothing when the peer has closed, or at the end of patience.
  [[nodiscard]] std::optional<std::string> receive();
  /// One packet, and the packet that answers it.
  [[nodiscard]] std::optional<std::string> ask(std::string_view payload);
  /// True once the peer has closed; what it sent before is thrown away.
  [[nodiscard]] bool sees_the_end();
  void close() { fd_.reset(); }

 private:
  /// More bytes; false at the end.
  [[nodiscard]] bool read_more();

  vmm::Fd fd_;
  vmm::gdb::PacketReader reader_;
  std::string bytes_;
};

}  // namespace test

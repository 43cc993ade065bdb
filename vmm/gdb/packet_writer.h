// The sending half of the packet layer: frames, checksums, and the last packet for when it is asked for
// again.
#pragma once

#include <string>
#include <string_view>

#include "vmm/gdb/wire.h"

namespace vmm::gdb {

/// `$payload#cs`. The payload is sent as it is: binary data has been escaped (append_escaped), and nothing is
/// run-length encoded, because debuggers expand that before they unescape.
[[nodiscard]] std::string framed(std::string_view payload);

class PacketWriter {
 public:
  /// `wire` must outlive the writer.
  explicit PacketWriter(Wire& wire) : wire_(wire) {}

  void send(std::string_view payload);
  /// The last packet again, after a NAK; nothing when there is none or it has been acknowledged.
  void resend();
  void acknowledged() { last_.clear(); }
  /// '+' and '-'; nothing in no-ack mode.
  void accept();
  void refuse();

  /// QStartNoAckMode: from now on neither side acknowledges.
  void stop_acknowledging();
  [[nodiscard]] bool acknowledges() const { return acknowledges_; }

 private:
  Wire& wire_;
  bool acknowledges_ = true;
  std::string last_;  // framed; kept only while it may be asked for again
};

}  // namespace vmm::gdb

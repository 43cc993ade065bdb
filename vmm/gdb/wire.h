// Where a session's bytes go. The server implements it with a socket, tests with a string.
#pragma once

#include <string_view>

namespace vmm::gdb {

/// Thread: the session's.
class Wire {
 public:
  virtual ~Wire() = default;
  /// Takes all of `bytes`, and sends what the peer takes at once. With a peer that does not read, it waits
  /// for it (bounded), then gives the connection up: from then on bytes are dropped and cancelled() is true.
  virtual void send(std::string_view bytes) = 0;
  /// Much has been sent that the peer has not taken: answer no further request before it has.
  [[nodiscard]] virtual bool congested() const = 0;
  /// For work that takes long: true when nobody waits for it any more (the peer has gone, has sent an
  /// interrupt, or the server is ending).
  [[nodiscard]] virtual bool cancelled() = 0;
};

}  // namespace vmm::gdb

// A listening socket for debuggers, TCP or unix.
#pragma once

#include <optional>
#include <utility>

#include "uvm/base/error.h"
#include "vmm/gdb/options.h"
#include "vmm/kvm/fd.h"
#include "vmm/pin_client/local_listener.h"

namespace vmm::gdb {

class ListeningSocket {
 public:
  /// Binds and listens; at a unix socket as LocalListener does. Errors: Busy (in use), Permission, Invalid (a
  /// file that is no socket is in the way), System; the address is named.
  [[nodiscard]] static uvm::Result<ListeningSocket> open(const ListenAddress& address);

  /// Turns away who waits to be accepted, and removes a unix socket's file. Destruction does the same.
  void close();

  [[nodiscard]] int fd() const;
  /// Where it really listens: with the port that the system chose.
  [[nodiscard]] const ListenAddress& address() const { return address_; }

 private:
  ListeningSocket(pins::LocalListener local, ListenAddress address)
      : local_(std::move(local)), address_(std::move(address)) {}
  ListeningSocket(Fd port, ListenAddress address) : port_(std::move(port)), address_(std::move(address)) {}

  // One of the two.
  std::optional<pins::LocalListener> local_;
  Fd port_;
  ListenAddress address_;
};

}  // namespace vmm::gdb

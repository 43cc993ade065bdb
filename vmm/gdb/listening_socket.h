// A listening socket for debuggers, TCP or unix.
#pragma once

#include "uvm/base/error.h"
#include "vmm/gdb/options.h"
#include "vmm/kvm/fd.h"

namespace vmm::gdb {

class ListeningSocket {
 public:
  /// Binds and listens. A unix socket gets mode 0600 before anybody can see it, and takes the place of one
  /// that nobody listens at any more. Errors: Busy (in use), Permission, Invalid (a file that is no socket is
  /// in the way), System; the address is named.
  [[nodiscard]] static uvm::Result<ListeningSocket> open(const ListenAddress& address);
  ~ListeningSocket();
  ListeningSocket(ListeningSocket&&) noexcept;
  ListeningSocket& operator=(ListeningSocket&&) = delete;

  /// Turns away who waits to be accepted, and removes a unix socket's file. Destruction does the same.
  void close();

  [[nodiscard]] int fd() const { return fd_.get(); }
  /// Where it really listens: with the port that the system chose.
  [[nodiscard]] const ListenAddress& address() const { return address_; }

 private:
  ListeningSocket(Fd fd, ListenAddress address);

  Fd fd_;
  ListenAddress address_;
};

}  // namespace vmm::gdb

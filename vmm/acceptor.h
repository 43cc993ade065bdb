// Who connects to a listening socket, one after the other.
#pragma once

#include <functional>
#include <memory>

#include "vmm/kvm/fd.h"

namespace boost::asio {
class io_context;
}

namespace vmm {

/// Thread: the one that runs `io`, but for construction and destruction.
class Acceptor {
 public:
  /// A connected socket, non-blocking and close-on-exec, and its address family.
  using Take = std::function<void(Fd socket, int family)>;

  /// `listening` is non-blocking and stays its owner's, who keeps it open until stop() or the end of this.
  /// `failure` is the log's line when the process has no room for another connection; it is tried again.
  Acceptor(boost::asio::io_context& io, int listening, const char* failure, Take take);
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  /// Once; before `io` runs, or on its thread.
  void start();
  /// Nobody is taken any more. Idempotent.
  void stop();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace vmm

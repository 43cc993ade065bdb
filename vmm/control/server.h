// Answers at a machine's control socket, on a thread of its own.
#pragma once

#include <memory>
#include <string>

#include "uvm/base/error.h"
#include "vmm/control/session.h"

namespace vmm::control {

/// Thread: create, start, finish and destruction on the machine's I/O thread.
class Server {
 public:
  /// `environment` outlives it. Listens from here on at a unix socket of mode 0600, and answers from start()
  /// on. A socket that nobody listens at any more is replaced; anything else at `path` is not. Errors: Busy
  /// (somebody listens there), Invalid (a file that is no socket, a path that is too long), Permission,
  /// System; the path is named.
  [[nodiscard]] static uvm::Result<std::unique_ptr<Server>> create(const std::string& path,
                                                                   const Environment& environment);
  /// As finish().
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Begins to accept. Once. Errors: System (no thread).
  [[nodiscard]] uvm::Status start();
  /// Every connection ends before it returns. Idempotent.
  void finish();

 private:
  struct Parts;
  explicit Server(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace vmm::control

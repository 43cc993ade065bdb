// The debugger's door: listens, lets one debugger in at a time, and runs its session on a thread of its own.
#pragma once

#include <memory>

#include "uvm/base/error.h"
#include "vmm/gdb/options.h"
#include "vmm/gdb/target.h"

namespace vmm::gdb {

/// A debugger may come, go and come again at any time, and leave at any byte: the guest then goes on without
/// a trace of it. A second one at the same time is refused with a line in the log; an inherited one that has
/// not said anything yet gives way.
/// Thread: create, start, finish and destruction on the machine's I/O thread; the target is called on the
/// server's own.
class Server {
 public:
  /// Listens from here on, if `options` name an address; answers from start() on. `target` must outlive the
  /// server; with an inherited debugger it is started stopped, and runs when that one goes. Errors as
  /// ListeningSocket::open; Invalid when `options` name neither.
  [[nodiscard]] static uvm::Result<std::unique_ptr<Server>> create(const Options& options, Target& target);
  /// As finish(0), if that has not been called.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Begins to accept. Once.
  [[nodiscard]] uvm::Status start();
  /// The machine has ended with `status`: a debugger that waits for it is told, the target is left stopped
  /// and not called any more. Waits for what the target is doing, and no longer. Idempotent.
  void finish(int status);

  /// Where it listens, with the real port; the default address when it has only an inherited debugger.
  [[nodiscard]] const ListenAddress& address() const;

 private:
  struct Parts;
  explicit Server(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace vmm::gdb

// The API's socket.
#pragma once

#include <memory>
#include <string>

#include "uvm/base/error.h"
#include "vmm/api/guest.h"
#include "vmm/api/launcher.h"
#include "vmm/machine/config.h"

namespace vmm::api {

/// Thread: create, start, attach, detach, finish and destruction on the main one; requests are handled on a
/// thread of its own.
class Server {
 public:
  /// Listens from here on at a unix socket of mode 0600, and answers from start() on. A socket that nobody
  /// listens at any more is replaced. `config` is what the command line says. The launcher outlives this.
  /// Errors: Busy (somebody listens there), Invalid (a file that is no socket, a path that is too long),
  /// Permission, System; the path is named.
  [[nodiscard]] static uvm::Result<std::unique_ptr<Server>> create(const std::string& path,
                                                                   MachineConfig config, Launcher& launcher);
  /// As finish().
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Once. Errors: System (no thread).
  [[nodiscard]] uvm::Status start();
  /// A guest that runs, or is about to: requests go to it from here on, its events to all who read them.
  void attach(Guest& guest);
  /// The guest ends: it is not used any more when this returns. Readers of events have been sent all of them.
  void detach();
  /// Every connection ends before it returns. Idempotent.
  void finish();

 private:
  struct Parts;
  explicit Server(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace vmm::api

// A unix socket of packets (vmm/pin_client/message.h): lets clients in and has each packet answered, on one
// thread of its own. What is asked and answered is its user's.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include "uvm/base/error.h"

namespace boost::asio {
class io_context;
}

namespace vmm {

/// One connection's end here. Thread: the server's, its end included.
class PacketClient {
 public:
  virtual ~PacketClient() = default;
  /// There is something to be received from `socket`, or its end: answers one packet. Whether the connection
  /// goes on.
  virtual bool answer(int socket) = 0;
};

/// Thread: create, start, finish and destruction on one.
class PacketServer {
 public:
  /// For the log: "pin socket", "device process".
  struct Names {
    const char* server;
    const char* client;
  };
  /// Whoever connects, by the number of its process. On the server's thread, whose `io` may be used for as
  /// long as the client lives.
  using Admit = std::function<std::unique_ptr<PacketClient>(boost::asio::io_context& io, pid_t peer)>;

  /// Listens from here on at a unix socket of mode 0600, and answers from start() on. A socket that nobody
  /// listens at any more is replaced; anything else at `path` is not. Errors: Busy (somebody listens there),
  /// Invalid (a file that is no socket, a path that is too long), Permission, System; the path is named.
  [[nodiscard]] static uvm::Result<std::unique_ptr<PacketServer>> create(const std::string& path, Names names,
                                                                         Admit admit);
  /// As finish().
  ~PacketServer();
  PacketServer(const PacketServer&) = delete;
  PacketServer& operator=(const PacketServer&) = delete;

  /// Begins to accept. Once. Errors: System (no thread).
  [[nodiscard]] uvm::Status start();
  /// Every client ends before it returns; `last` is the last thing on its thread. Idempotent.
  void finish(const std::function<void()>& last = {});

 private:
  class Connection;
  struct Parts;
  explicit PacketServer(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace vmm

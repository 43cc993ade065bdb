// A passt process of our own: user-mode networking without any rights.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>

#include "uvm/base/error.h"
#include "vmm/kvm/fd.h"

namespace vmm::virtio::net {

/// Ends with its socket and with this process, however that ends: it is told to serve one connection. Thread:
/// one at a time.
class PasstProcess {
 public:
  /// Runs `program`, found in $PATH, with a connected socket. Errors: NotFound (it is not installed), System.
  [[nodiscard]] static uvm::Result<PasstProcess> start(const std::string& program = "passt");
  /// Ends it.
  ~PasstProcess();
  PasstProcess(PasstProcess&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)),
        process_(std::move(other.process_)),
        socket_(std::move(other.socket_)),
        messages_(std::move(other.messages_)) {}
  PasstProcess& operator=(PasstProcess&&) = delete;

  /// Our end of its socket, once: non-blocking, for frames as Passt has them.
  [[nodiscard]] Fd take_socket() { return std::move(socket_); }
  /// The last line that it has written to its stderr; empty: none.
  [[nodiscard]] std::string last_words() const;
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  PasstProcess(pid_t pid, Fd process, Fd socket, Fd messages)
      : pid_(pid), process_(std::move(process)), socket_(std::move(socket)), messages_(std::move(messages)) {}

  pid_t pid_;
  Fd process_;  // a pidfd: by its number a confined thread may end no process
  Fd socket_;
  Fd messages_;
};

}  // namespace vmm::virtio::net

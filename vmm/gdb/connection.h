// A session's socket: bytes in, bytes out, and the target's events brought to the server's thread.
//
// Sending tries the socket at once, so that an answer needs no turn of the event loop, and a long command's
// output appears while it runs. What the peer doesn't take is buffered: above kSoftLimit no further request
// is answered, above kHardLimit (only a command that prints without end gets there) send() waits for the
// peer, kPatience at most, and then gives the connection up.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "vmm/gdb/options.h"
#include "vmm/gdb/target.h"
#include "vmm/gdb/wire.h"
#include "vmm/kvm/fd.h"

namespace boost::asio {
class io_context;
}

namespace vmm::gdb {

class Session;

/// Thread: the one that runs `io`, but for stopped() and forked().
class Connection final : public Wire, public StopListener, public std::enable_shared_from_this<Connection> {
 public:
  static constexpr std::size_t kSoftLimit = std::size_t{256} << 10U;  // bytes
  static constexpr std::size_t kHardLimit = std::size_t{8} << 20U;    // bytes
  static constexpr std::chrono::seconds kPatience{10};

  struct Environment {
    boost::asio::io_context& io;
    Target& target;
    OnKill on_kill = OnKill::Detach;
    OnDisconnect on_disconnect = OnDisconnect::Resume;
    const std::atomic<bool>& ending;  // the server wants to end: long commands give up
    std::function<void()> closed;     // once, when the session and the socket are gone
  };

  /// `socket` is connected and non-blocking; `family` its address family.
  [[nodiscard]] static std::shared_ptr<Connection> create(Environment environment, Fd socket, int family);
  ~Connection() override;

  void start();
  /// True once the peer has left. Reads first what it said before that and nobody has looked at yet.
  [[nodiscard]] bool has_ended();
  /// Nobody has said a packet yet.
  [[nodiscard]] bool is_idle() const;
  /// Closes at once, as if the peer had.
  void close();
  /// The machine ends with `status`: tells the debugger, waits a moment for it to take the news, closes.
  void finish(int status);

  // Wire
  void send(std::string_view bytes) override;
  [[nodiscard]] bool congested() const override { return output_.size() > kSoftLimit; }
  [[nodiscard]] bool cancelled() override;
  // StopListener
  void stopped(const StopEvent& event) override;
  [[nodiscard]] bool forked(Fd door) override;

 private:
  struct Channel;

  Connection(Environment environment, Fd socket, int family);
  void wait_for_input();
  void read();
  void wait_for_room();
  /// Until the copy that runs says something at `socket`.
  void wait_for_copy(int socket);
  /// Sends what the socket takes now.
  void flush();
  /// Waits up to `limit` until `most` bytes or fewer are left to send.
  void drain(std::size_t most, std::chrono::milliseconds limit);
  /// Decides what to wait for next, or closes.
  void carry_on();

  Environment environment_;
  std::unique_ptr<Channel> channel_;
  std::unique_ptr<Session> session_;
  std::string output_;
  bool broken_ = false;                     // the socket failed: nothing will be sent any more
  std::atomic<bool> follows_forks_{false};  // what the session says, for forked()
  bool reading_ = false;
  bool writing_ = false;
  bool awaits_copy_ = false;
};

}  // namespace vmm::gdb

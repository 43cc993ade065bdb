// A stream between a program in the guest and one on the host, which has the other end of a unix socket.
//
//   host calls:   Asked --guest's Response, "OK PORT\n"--> Open
//   guest calls:  Open from the begin, a Response is owed
//   Open --either side has shut both directions down, and all bytes are delivered--> Over
//
// A side that only ends its sending ("half-closed") goes on receiving. What the guest has sent before it went
// is delivered to the host's program, however slowly that reads.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "vmm/kvm/fd.h"
#include "vmm/virtio/fd_watch.h"
#include "vmm/virtio/vsock/credit.h"
#include "vmm/virtio/vsock/packet.h"

namespace vmm::virtio::vsock {

/// Thread: the one that runs `io`.
class Connection {
 public:
  enum class CalledBy : bool { Guest, Host };

  struct Setup {
    boost::asio::io_context& io;
    std::uint64_t guest_cid = 0;
    Ports ports;
    Fd socket;  // connected, non-blocking
    CalledBy called_by = CalledBy::Guest;
    /// There is something to give(), or it is over. Not from inside take() and give().
    std::function<void()> wake;
  };
  explicit Connection(Setup setup);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// What the guest tells of its room in the packet that asked for the connection.
  void hear(const Header& header) { credit_.hear(header); }
  /// A packet of the guest's for it. `data` is as long as the header says.
  void take(const Header& header, std::span<const iovec> data);
  /// The next packet for the guest, with its data in `room`; nothing: there is none now.
  [[nodiscard]] std::optional<Header> give(std::span<const iovec> room);
  /// Whether give() may have something.
  [[nodiscard]] bool has_something() const;
  /// Nothing will come of it any more.
  [[nodiscard]] bool is_over() const { return phase_ == Phase::Over && owed_ == 0 && unwritten_.empty(); }
  /// The guest knows nothing of it any more: its ports are free again.
  [[nodiscard]] bool is_forgotten() const { return phase_ == Phase::Over && owed_ == 0; }
  /// Both ends of the host's are closed, and the guest has not said yet that it has seen so.
  [[nodiscard]] bool is_lingering() const { return phase_ == Phase::Open && we_shut_ == kNothing; }

 private:
  enum class Phase : std::uint8_t { Asked, Open, Over };
  using Owed = std::uint32_t;  // packets without data, a bit each

  void take_response();
  void take_data(const Header& header, std::span<const iovec> data);
  void take_shutdown(std::uint32_t flags);
  void reset();
  void write_more();
  void host_has_closed();
  /// After bytes have gone, or a side has shut something down.
  void settle();
  void wait(FdWatch::For what);
  void shut(std::uint32_t flags);
  [[nodiscard]] Header header(Operation operation);
  [[nodiscard]] std::optional<Header> give_owed();
  [[nodiscard]] std::optional<Header> give_data(std::span<const iovec> room);

  const std::uint64_t guest_cid_;
  const Ports ports_;
  Fd socket_;
  FdWatch watch_;
  const std::function<void()> wake_;

  Phase phase_;
  Credit credit_;
  Owed owed_ = 0;
  bool readable_ = true;          // or nobody knows that it is not
  bool credit_asked_ = false;     // and not heard of since
  bool host_reads_ = true;        // what the guest sends has somewhere to go
  std::uint32_t guest_shut_ = 0;  // what the guest will not do any more
  std::uint32_t we_shut_ = 0;     // what the guest knows that the host will not do any more
  std::vector<std::byte> unwritten_;
};

}  // namespace vmm::virtio::vsock

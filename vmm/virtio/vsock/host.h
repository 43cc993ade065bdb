// The host's side of all connections: unix sockets in Firecracker's style.
//
//   a program here connects to PATH, says "CONNECT 52\n"  -->  port 52 of the guest; "OK 1073741824\n" when
//                                                              the guest has accepted, the end otherwise
//   the guest connects to port 52 of CID 2                -->  the socket PATH_52, where a program listens
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "uvm/base/error.h"
#include "vmm/acceptor.h"
#include "vmm/kvm/fd.h"
#include "vmm/virtio/vsock/connection.h"
#include "vmm/virtio/vsock/listener.h"
#include "vmm/virtio/vsock/packet.h"

namespace vmm::virtio::vsock {

/// Thread: the one that runs `io`.
class Host {
 public:
  static constexpr std::size_t kMostConnections = 1023;

  struct Setup {
    boost::asio::io_context& io;
    std::uint64_t guest_cid = 0;
    std::optional<Listener> listener;  // none: nobody here gets to the guest, nor it to anybody
    /// There is something to give(). Not from inside take() and give().
    std::function<void()> wake;
  };
  explicit Host(Setup setup);
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  /// The guest has a driver: who has connected is let in.
  void open();
  /// It has none any more, or knows nothing of its connections: all of them end.
  void close();

  /// A packet of the guest's. `data` may be longer or shorter than the header says. False: it is none that
  /// could be answered, and was dropped.
  [[nodiscard]] bool take(const Header& header, std::span<const iovec> data);
  /// Answers wait for room: take() nothing before some have been given.
  [[nodiscard]] bool is_full() const { return answers_.size() >= kMostAnswers; }
  /// The next packet for the guest, with its data in `room`; nothing: there is none now.
  [[nodiscard]] std::optional<Header> give(std::span<const iovec> room);

  [[nodiscard]] std::size_t connections() const { return connections_.size(); }

 private:
  static constexpr std::size_t kMostAnswers = 256;
  static constexpr std::size_t kMostCallers = 64;
  static constexpr std::size_t kMostOrphans = 64;
  class Caller;

  void call(const Caller& caller, std::uint32_t guest_port, Fd socket);
  void connect_guest(Ports ports);
  void add(Ports ports, Fd socket, Connection::CalledBy called_by);
  void mark(Ports ports);
  void woken(Ports ports);
  /// After something has happened to it.
  void look_at(Ports ports);
  [[nodiscard]] bool make_room();
  [[nodiscard]] Ports free_ports(std::uint32_t guest_port);
  void answer_reset(const Header& to);

  boost::asio::io_context& io_;
  const std::uint64_t guest_cid_;
  const std::function<void()> wake_;
  std::optional<Listener> listener_;
  std::optional<Acceptor> acceptor_;

  std::map<const Caller*, std::unique_ptr<Caller>> callers_;  // who have not said yet where they want to go
  std::map<Ports, std::unique_ptr<Connection>> connections_;
  /// The guest has forgotten them; what it had sent is still on its way.
  std::map<const Connection*, std::unique_ptr<Connection>> orphans_;
  std::deque<Ports> ready_;     // may have something for the guest, by turns
  std::set<Ports> is_ready_;    // the same
  std::deque<Header> answers_;  // to what belongs to no connection
  std::uint32_t next_port_ = 1U << 30;
};

}  // namespace vmm::virtio::vsock

// One client's connection: HTTP in, HTTP out.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "vmm/api/message.h"
#include "vmm/kvm/fd.h"

namespace vmm::api {

inline constexpr std::size_t kMostBody = 51200;   // bytes, as Firecracker's
inline constexpr std::size_t kMostHeader = 8192;  // bytes
inline constexpr std::size_t kMostWaitingLines = 1000;

/// Thread: the server's. Keeps itself alive while something is under way; ended by close() at the latest.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  struct Callbacks {
    std::function<Answer(const Request& request)> answer;
    std::function<void(Connection& connection)> gone;  // once, when nothing more will come
  };

  [[nodiscard]] static std::shared_ptr<Connection> create(boost::asio::io_context& io, Fd socket,
                                                          Callbacks callbacks);
  virtual ~Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  virtual void serve() = 0;
  /// A line for whoever asked for a stream; nothing for others.
  virtual void send_line(const std::string& line) = 0;
  /// Ends when what was sent has gone out, or cannot.
  virtual void close() = 0;

 protected:
  Connection() = default;
};

}  // namespace vmm::api

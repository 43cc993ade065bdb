// A connection to a back end: whole messages, one request at a time, nothing waited for without a limit.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/kvm/fd.h"
#include "vmm/vhost_user/protocol.h"

namespace vmm::vhost_user {

/// A payload put together field by field.
class Payload {
 public:
  template <class T>
  void put(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto bytes = std::as_bytes(std::span(&value, 1));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

/// Thread: one at a time. Errors, of all: EndOfObject (the back end has gone), Busy (it did not answer or
/// take within the limit), Invalid (what it sent is no answer), System; the socket is named.
class Channel {
 public:
  /// `limit`: how long one answer may take. Errors besides: NotFound, Permission, Invalid (a path that is too
  /// long).
  [[nodiscard]] static uvm::Result<Channel> connect(const std::string& path,
                                                    std::chrono::seconds limit = std::chrono::seconds(10));

  /// Sends a request with `fds`, which stay the caller's.
  [[nodiscard]] uvm::Status send(Request request, std::span<const std::byte> payload, std::uint32_t flags = 0,
                                 std::span<const int> fds = {});
  /// The payload of the answer to `request`. Descriptors that come with it are closed: none are asked for.
  [[nodiscard]] uvm::Result<std::vector<std::byte>> receive(Request request);

  /// Readable when the back end has gone, or says what nobody asked for: why_readable() tells which.
  [[nodiscard]] int fd() const { return socket_.get(); }
  [[nodiscard]] uvm::Error why_readable() const;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  Channel(Fd socket, std::string path) : socket_(std::move(socket)), path_(std::move(path)) {}
  [[nodiscard]] uvm::Status read_exactly(std::span<std::byte> data);
  [[nodiscard]] uvm::Error failed(const char* call, int number) const;

  Fd socket_;
  std::string path_;
};

}  // namespace vmm::vhost_user

// A client's connection: one request at a time, each with its reply.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "uvm/base/error.h"
#include "vmm/pin_client/message.h"

namespace vmm::pins {

/// Thread-safe: pins may end on other threads than the one that made them.
class Channel {
 public:
  /// Errors: as Client::connect.
  [[nodiscard]] static uvm::Result<std::shared_ptr<Channel>> open(const std::string& path,
                                                                  const std::string& name);
  explicit Channel(Fd socket) : socket_(std::move(socket)) {}

  /// Sends the request `fill` puts the body of, and waits for the reply, whose head is taken off. Errors:
  /// Invalid (refused: the text is the server's), PagerIo (the server has gone, or answered something else).
  template <class F>
  [[nodiscard]] uvm::Result<Message> ask(Verb verb, F&& fill) {
    const std::lock_guard lock(mutex_);
    const Header header{verb, ++tag_, Outcome::Ok, 0};
    Message request;
    request.put(header);
    fill(request);
    return exchange(header, request);
  }

 private:
  [[nodiscard]] uvm::Result<Message> exchange(const Header& header, const Message& request);

  const Fd socket_;
  std::mutex mutex_;
  std::uint32_t tag_ = 0;
};

}  // namespace vmm::pins

// What one client of the pin socket has, and the answers to what it asks. Knows no socket.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/pin.h"
#include "uvm/space.h"
#include "vmm/pin_client/message.h"

namespace vmm::pins {

/// What the clients of a machine share. The space outlives them.
struct Environment {
  uvm::Space& space;
  std::uint64_t limit = uvm::kNoPinLimit;  // bytes that one client may pin
  std::function<void()> ring;              // interrupts the guest; empty: there are no bells
};

/// Thread: one at a time. Its end unpins all it has.
class Session {
 public:
  struct Answer {
    Message message;
    bool ends = false;  // the connection, after the message
  };

  Session(Environment environment, pid_t peer) : environment_(std::move(environment)), peer_(peer) {}

  /// The reply to one packet, whatever is in it.
  [[nodiscard]] Answer answer(Message request);

  /// "name (process 12)"; before Hello only the process.
  [[nodiscard]] std::string name() const;
  /// The eventfd of the client's bell, to be waited for; -1 until it asked for one. Lives as long as this.
  [[nodiscard]] int bell() const { return bell_.get(); }
  [[nodiscard]] std::size_t pins() const { return pins_.size(); }
  /// Bytes that it has pinned.
  [[nodiscard]] std::uint64_t bytes() const { return owner_ ? owner_->pinned() : 0; }

 private:
  using Reply = uvm::Result<Message>;

  /// Errors are refusals, but for `broken_`.
  [[nodiscard]] Reply dispatch(const Header& header, Message& request);
  [[nodiscard]] Reply hello(const Header& header, Message& request);
  [[nodiscard]] Reply pin(const Header& header, Message& request);
  [[nodiscard]] Reply unpin(const Header& header, Message& request);
  [[nodiscard]] Reply give_bell(const Header& header);
  /// An error that ends the connection.
  [[nodiscard]] uvm::Error broken(const std::string& what);

  Environment environment_;
  pid_t peer_;
  std::shared_ptr<uvm::PinOwner> owner_;  // since Hello
  std::map<std::uint64_t, uvm::Pin> pins_;
  std::uint64_t next_ = 1;
  Fd bell_;
  bool broken_ = false;
};

}  // namespace vmm::pins

// When a descriptor can be read or written, without owning it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>
#include <utility>

namespace vmm::virtio {

/// Thread: the one that runs `io`. Calls nobody any more once it is gone, whatever is on its way.
class FdWatch {
 public:
  enum class For : bool { Reading, Writing };

  /// `fd` outlives it, and no other one watches it.
  FdWatch(boost::asio::io_context& io, int fd) : parts_(std::make_shared<Parts>(io, fd)) {}
  ~FdWatch() {
    if (parts_) (void)parts_->descriptor.release();
  }
  FdWatch(FdWatch&&) noexcept = default;
  FdWatch& operator=(FdWatch&&) = delete;

  /// Calls `then` once; nothing happens while an earlier wait for the same lasts. An error of the descriptor,
  /// or its other end's end, counts as ready.
  void wait(For what, std::function<void()> then) {
    bool& waits = parts_->waits_for(what);
    if (std::exchange(waits, true)) return;
    const auto event = what == For::Reading ? Descriptor::wait_read : Descriptor::wait_write;
    parts_->descriptor.async_wait(event, [weak = std::weak_ptr<Parts>(parts_), what,
                                          call = std::move(then)](const boost::system::error_code& error) {
      const auto parts = weak.lock();
      if (!parts || error == boost::asio::error::operation_aborted) return;
      parts->waits_for(what) = false;
      call();
    });
  }

 private:
  using Descriptor = boost::asio::posix::stream_descriptor;
  struct Parts {
    Parts(boost::asio::io_context& io, int fd) : descriptor(io, fd) {}
    [[nodiscard]] bool& waits_for(For what) { return what == For::Reading ? reading : writing; }
    Descriptor descriptor;
    bool reading = false;
    bool writing = false;
  };
  std::shared_ptr<Parts> parts_;
};

}  // namespace vmm::virtio

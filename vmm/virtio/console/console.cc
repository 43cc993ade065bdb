#include "vmm/virtio/console/console.h"

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <utility>

#include "uvm/access.h"
#include "vmm/devices/registers.h"
#include "vmm/log.h"

namespace vmm::virtio::console {
namespace {

constexpr unsigned kReceiveQueue = 0;
constexpr unsigned kTransmitQueue = 1;

// struct virtio_console_config
constexpr std::size_t kConfigBytes = 12;
constexpr std::uint64_t kPortsOffset = 4;

constexpr std::size_t kPiece = 4096;

}  // namespace

// ---- the host's side

std::size_t Console::offer_input(std::span<const std::byte> bytes) {
  std::size_t taken = 0;
  {
    const uvm::MutexLock lock(mutex_);
    taken = input_.push(bytes);
    if (taken < bytes.size()) input_refused_ = true;
  }
  if (taken != 0) boost::asio::post(*io_, [this] { again(&Console::in_); });
  return taken;
}

void Console::sink_ready() {
  boost::asio::post(*io_, [this] { again(&Console::out_); });
}

void Console::set_size(Size size) {
  {
    const uvm::MutexLock lock(mutex_);
    if (size_ == size) return;
    size_ = size;
  }
  if (config_changed_) config_changed_();
}

bool Console::flush() {
  std::promise<bool> flushed;
  boost::asio::post(*io_, [this, &flushed] {
    again(&Console::out_);
    flushed.set_value(!has_chain_ && !goes_on_);
  });
  return flushed.get_future().get();
}

void Console::read_config(std::uint64_t offset, std::span<std::byte> data) const {
  std::array<std::byte, kConfigBytes> image{};
  {
    const uvm::MutexLock lock(mutex_);
    devices::store_le(std::span(image).first(2), size_.columns);
    devices::store_le(std::span(image).subspan(2, 2), size_.rows);
  }
  devices::store_le(std::span(image).subspan(kPortsOffset, 4), 1);
  devices::read_block(image, offset, data);
}

// ---- the thread

uvm::Status Console::attach(const Thread& thread) {
  io_ = &thread.io;
  config_changed_ = thread.config_changed;
  return uvm::ok();
}

void Console::started(QueueSet& queues) {
  in_ = queues.find(kReceiveQueue);
  out_ = queues.find(kTransmitQueue);
}

void Console::again(SplitQueue* Console::*queue) {
  if (this->*queue == nullptr) return;
  if (auto served = serve(*(this->*queue)); !served) {
    log::event(log::Level::Warning, "console: a queue is broken", {{"error", served.error().text()}});
  }
}

uvm::Status Console::serve(SplitQueue& queue) {
  if (queue.index() == kReceiveQueue) return receive();
  UVMM_CHECK(transmit());
  return uvm::ok();
}

uvm::Result<Console::Out> Console::transmit() {
  SplitQueue& queue = *out_;
  goes_on_ = false;
  unsigned chains = 0;
  do {
    queue.hush();
    for (;;) {
      if (!has_chain_) {
        UVMM_TRY(has_chain_, queue.pop(out_chain_));
      }
      if (!has_chain_) break;
      UVMM_TRY(const Out out, write(out_chain_));
      if (out == Out::Stalled) return out;
      queue.push(out_chain_.head, 0);
      queue.publish();
      has_chain_ = false;
      written_ = 0;
      if (++chains < queue.size()) continue;
      goes_on_ = true;
      sink_ready();
      return Out::Stalled;
    }
  } while (queue.listen());
  return Out::All;
}

uvm::Result<Console::Out> Console::write(const Chain& chain) {
  std::uint64_t skip = written_;
  for (const Segment& segment : chain.readable) {
    if (skip >= segment.bytes) {
      skip -= segment.bytes;
      continue;
    }
    for (std::uint64_t done = std::exchange(skip, 0); done < segment.bytes;) {
      bytes_.resize(std::min<std::uint64_t>(segment.bytes - done, kPiece));
      UVMM_CHECK(uvm::Access::read(space_, uvm::Gpa(segment.gpa + done), bytes_));
      const std::size_t taken = sink_.offer(bytes_);
      done += taken;
      written_ += taken;
      // sink_ready() comes to this thread, after this.
      if (taken < bytes_.size()) return Out::Stalled;
    }
  }
  return Out::All;
}

uvm::Status Console::receive() {
  SplitQueue& queue = *in_;
  do {
    queue.hush();
    for (;;) {
      {
        const uvm::MutexLock lock(mutex_);
        if (input_.empty()) break;
      }
      UVMM_TRY(const bool is_there, queue.pop(in_chain_));
      if (!is_there) break;
      UVMM_TRY(const std::uint32_t written, fill(in_chain_));
      queue.push(in_chain_.head, written);
      queue.publish();
    }
    const uvm::MutexLock lock(mutex_);
    // Its buffers are the queue's normal state; there is nothing to look for until somebody types.
    if (input_.empty()) return uvm::ok();
  } while (queue.listen());
  return uvm::ok();
}

uvm::Result<std::uint32_t> Console::fill(const Chain& chain) {
  std::uint32_t written = 0;
  bool tell = false;
  for (const Segment& segment : chain.writable) {
    for (std::uint64_t done = 0; done < segment.bytes;) {
      {
        const uvm::MutexLock lock(mutex_);
        const auto front = input_.front();
        bytes_.assign(front.begin(), front.begin() + static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(
                                                         front.size(), segment.bytes - done)));
        input_.pop(bytes_.size());
        const bool has_room = input_.space() >= input_.capacity() / 2;
        if (has_room && std::exchange(input_refused_, input_refused_ && !has_room)) tell = true;
      }
      if (bytes_.empty()) break;
      UVMM_CHECK(uvm::Access::write(space_, uvm::Gpa(segment.gpa + done), bytes_));
      done += bytes_.size();
      written += static_cast<std::uint32_t>(bytes_.size());
    }
  }
  if (tell && on_input_space_) on_input_space_();
  return written;
}

void Console::drain(std::function<void()> done) {
  if (std::exchange(has_chain_, false)) out_->unpop();
  in_ = out_ = nullptr;
  goes_on_ = false;
  done();
}

void Console::state(devices::StateFields& fields) {
  fields.field(written_);
}

}  // namespace vmm::virtio::console

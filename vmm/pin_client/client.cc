#include "vmm/pin_client/client.h"

#include <utility>

#include "vmm/pin_client/channel.h"

namespace vmm::pins {

using View = ept::host::SharedView;

RemotePin::RemotePin() = default;
RemotePin::RemotePin(RemotePin&&) noexcept = default;

RemotePin& RemotePin::operator=(RemotePin&& other) noexcept {
  if (this == &other) return *this;
  static_cast<void>(unpin());
  channel_ = std::move(other.channel_);
  id_ = other.id_;
  ranges_ = std::move(other.ranges_);
  views_ = std::move(other.views_);
  return *this;
}

RemotePin::~RemotePin() {
  static_cast<void>(unpin());
}

std::span<std::byte> RemotePin::bytes(std::size_t range) const {
  return views_.at(range).bytes();
}

uvm::Status RemotePin::unpin() {
  views_.clear();
  const auto channel = std::exchange(channel_, nullptr);
  if (channel == nullptr) return uvm::ok();
  auto reply = channel->ask(Verb::Unpin, [&](Message& request) { request.put(UnpinRequest{id_}); });
  if (!reply) return std::move(reply).error();
  return uvm::ok();
}

uvm::Result<Client> Client::connect(const std::string& path, const std::string& name) {
  UVMM_TRY(auto channel, Channel::open(path, name));
  return Client(std::move(channel));
}

uvm::Result<RemotePin> Client::pin(const std::vector<uvm::GpaRange>& ranges, uvm::PinAccess access,
                                   uvm::ForkPolicy policy) {
  UVMM_TRY(Message reply, channel_->ask(Verb::Pin, [&](Message& request) {
    request.put(PinRequest{access == uvm::PinAccess::Write ? 1U : 0U, static_cast<std::uint32_t>(policy),
                           static_cast<std::uint32_t>(ranges.size()), 0});
    for (const uvm::GpaRange& range : ranges) request.put(Range{range.begin().value(), range.size()});
  }));
  const uvm::Error strange(uvm::ErrorKind::PagerIo, "pin socket: the answer is no pin");
  PinReply made;
  if (!reply.take(made)) return strange;
  const auto rights = access == uvm::PinAccess::Write ? View::Access::ReadWrite : View::Access::Read;
  RemotePin pin;  // undoes from here on
  pin.channel_ = channel_;
  pin.id_ = made.pin;
  pin.ranges_ = ranges;
  for (const uvm::GpaRange& range : ranges) {
    UVMM_TRY(auto view, View::reserve(range.size()));
    for (std::uint64_t done = 0; done < range.size();) {
      Extent extent;
      if (!reply.take(extent) || extent.gpa != range.begin().value() + done || extent.size == 0 ||
          extent.size > range.size() - done || extent.fd >= reply.fds.size()) {
        return strange;
      }
      UVMM_CHECK(view.show(done, extent.size, reply.fds[extent.fd].get(), extent.offset, rights));
      done += extent.size;
    }
    pin.views_.push_back(std::move(view));
  }
  return pin;
}

uvm::Result<Fd> Client::bell() {
  UVMM_TRY(Message reply, channel_->ask(Verb::Bell, [](Message&) {}));
  if (reply.fds.size() != 1) return uvm::Error(uvm::ErrorKind::PagerIo, "pin socket: no bell in the answer");
  return std::move(reply.fds.front());
}

}  // namespace vmm::pins

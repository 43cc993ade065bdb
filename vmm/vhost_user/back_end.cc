#include "vmm/vhost_user/back_end.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace vmm::vhost_user {
namespace {

constexpr std::uint64_t kSpoken = kProtocolQueues | kProtocolReplyAck | kProtocolConfig;

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

}  // namespace

uvm::Result<BackEnd> BackEnd::connect(const std::string& path) {
  UVMM_TRY(Channel channel, Channel::connect(path));
  BackEnd back_end(std::move(channel));
  UVMM_CHECK(back_end.negotiate());
  return back_end;
}

uvm::Status BackEnd::negotiate() {
  UVMM_TRY(features_, ask(Request::GetFeatures));
  if ((features_ & virtio::kFeatureVersion1) == 0) {
    return uvm::Error(uvm::ErrorKind::Unsupported,
                      "vhost-user socket " + path() + ": the back end serves legacy virtio drivers only",
                      "use one that offers VIRTIO_F_VERSION_1");
  }
  if ((features_ & kFeatureProtocol) != 0) {
    UVMM_TRY(const std::uint64_t offered, ask(Request::GetProtocolFeatures));
    const std::uint64_t common = offered & kSpoken;
    UVMM_CHECK(tell(Request::SetProtocolFeatures, common));
    protocol_ = common;
  }
  if ((protocol_ & kProtocolQueues) != 0) {
    UVMM_TRY(const std::uint64_t count, ask(Request::GetQueueCount));
    queues_ = static_cast<std::uint32_t>(
        std::clamp<std::uint64_t>(count, 1, std::numeric_limits<std::uint16_t>::max()));
  }
  return tell(Request::SetOwner, std::span<const std::byte>());
}

uvm::Result<std::uint64_t> BackEnd::ask(Request request) {
  UVMM_CHECK(channel_.send(request, {}));
  UVMM_TRY(const auto answer, channel_.receive(request));
  std::uint64_t value = 0;
  if (answer.size() != sizeof value) {
    return uvm::Error(uvm::ErrorKind::Invalid, "vhost-user socket " + path() + ": an answer of " +
                                                   std::to_string(answer.size()) + " bytes to request " +
                                                   std::to_string(static_cast<std::uint32_t>(request)));
  }
  std::memcpy(&value, answer.data(), sizeof value);
  return value;
}

uvm::Status BackEnd::tell(Request request, std::span<const std::byte> payload, std::span<const int> fds) {
  const bool answers = (protocol_ & kProtocolReplyAck) != 0;
  UVMM_CHECK(channel_.send(request, payload, answers ? kFlagNeedReply : 0, fds));
  if (!answers) return uvm::ok();
  UVMM_TRY(const auto answer, channel_.receive(request));
  if (std::ranges::all_of(answer, [](std::byte byte) { return byte == std::byte{0}; })) return uvm::ok();
  return uvm::Error(uvm::ErrorKind::Invalid, "vhost-user socket " + path() +
                                                 ": the back end refuses request " +
                                                 std::to_string(static_cast<std::uint32_t>(request)));
}

template <class T>
uvm::Status BackEnd::tell(Request request, const T& value, std::span<const int> fds) {
  return tell(request, bytes_of(value), fds);
}

uvm::Result<std::vector<std::byte>> BackEnd::config(std::uint32_t bytes) {
  if ((protocol_ & kProtocolConfig) == 0) {
    return uvm::Error(
        uvm::ErrorKind::Unsupported,
        "vhost-user socket " + path() + ": the back end does not tell its device's configuration",
        "use one with the protocol feature CONFIG");
  }
  Payload payload;
  payload.put(ConfigHeader{0, bytes, 0});
  const std::vector<std::byte> room(bytes);
  for (const std::byte byte : room) payload.put(byte);
  UVMM_CHECK(channel_.send(Request::GetConfig, payload.bytes()));
  UVMM_TRY(auto answer, channel_.receive(Request::GetConfig));
  if (answer.size() != sizeof(ConfigHeader) + bytes) {
    return uvm::Error(uvm::ErrorKind::Invalid, "vhost-user socket " + path() + ": a configuration of " +
                                                   std::to_string(answer.size()) + " bytes");
  }
  answer.erase(answer.begin(), answer.begin() + sizeof(ConfigHeader));
  return answer;
}

uvm::Status BackEnd::set_features(std::uint64_t accepted) {
  // Accepted, it makes the back end wait for SetQueueEnable.
  return tell(Request::SetFeatures, accepted | (features_ & kFeatureProtocol));
}

uvm::Status BackEnd::set_memory(const MemoryTable& memory) {
  Payload payload;
  std::vector<int> fds;
  payload.put(MemoryHeader{static_cast<std::uint32_t>(memory.parts().size()), 0});
  for (const MemoryTable::Part& part : memory.parts()) {
    payload.put(Region{part.gpa, part.bytes, part.gpa, part.offset});
    fds.push_back(part.fd);
  }
  return tell(Request::SetMemoryTable, payload.bytes(), fds);
}

uvm::Status BackEnd::tell_event(Request request, unsigned queue, const Fd& event) {
  const int fd = event.get();
  return tell(request, std::uint64_t{queue}, std::span(&fd, 1));
}

uvm::Status BackEnd::start(const virtio::Queue& queue) {
  UVMM_CHECK(tell(Request::SetQueueSize, QueueState{queue.index, queue.size}));
  UVMM_CHECK(tell(Request::SetQueueBase, QueueState{queue.index, 0}));
  UVMM_CHECK(tell(Request::SetQueueAddresses, QueueAddresses{queue.index, 0, queue.descriptors,
                                                             queue.device_area, queue.driver_area, 0}));
  UVMM_CHECK(tell_event(Request::SetQueueCall, queue.index, *queue.call));
  UVMM_CHECK(tell_event(Request::SetQueueKick, queue.index, *queue.kick));
  if ((features_ & kFeatureProtocol) == 0) return uvm::ok();
  return tell(Request::SetQueueEnable, QueueState{queue.index, 1});
}

uvm::Status BackEnd::stop(unsigned queue) {
  if ((features_ & kFeatureProtocol) != 0) UVMM_CHECK(tell(Request::SetQueueEnable, QueueState{queue, 0}));
  UVMM_CHECK(channel_.send(Request::GetQueueBase, bytes_of(QueueState{queue, 0})));
  UVMM_CHECK(channel_.receive(Request::GetQueueBase));
  return uvm::ok();
}

}  // namespace vmm::vhost_user

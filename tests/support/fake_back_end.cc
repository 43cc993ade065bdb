#include "tests/support/fake_back_end.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "vmm/virtio/device.h"

namespace test {

namespace {

constexpr std::uint64_t kFeatures = vmm::virtio::kFeatureVersion1 | vmm::virtio::kFeatureEventIndex |
                                    vhost::kFeatureProtocol | std::uint64_t{1} << 12 | std::uint64_t{1} << 26;
constexpr std::uint64_t kProtocol =
    vhost::kProtocolQueues | vhost::kProtocolReplyAck | vhost::kProtocolConfig | std::uint64_t{1} << 15;
constexpr std::uint64_t kQueues = 4;
constexpr std::uint64_t kSectors = 0x1234;

struct Descriptor {
  std::uint64_t address;
  std::uint32_t bytes;
  std::uint16_t flags;
  std::uint16_t next;
};
constexpr std::uint16_t kNext = 1;
constexpr std::uint16_t kDeviceWrites = 2;

template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <class T>
void store(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

template <class T>
T first(const std::vector<std::byte>& payload) {
  return payload.size() < sizeof(T) ? T{} : load<T>(payload.data());
}

}  // namespace

FakeBackEnd::FakeBackEnd(Fault fault) : fault_(fault), end_(::eventfd(0, EFD_CLOEXEC)) {
  static std::atomic<int> next{0};
  path_ = std::filesystem::temp_directory_path() /
          ("uvmm-vhost-" + std::to_string(::getpid()) + "-" + std::to_string(++next));
  ::unlink(path_.c_str());
  listener_ = vmm::Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::ranges::copy(path_, static_cast<char*>(address.sun_path));
  static_cast<void>(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
  ::listen(listener_.get(), 4);
  thread_ = std::thread([this] { serve(); });
}

FakeBackEnd::~FakeBackEnd() {
  die();
  ::unlink(path_.c_str());
}

void FakeBackEnd::die() {
  if (!thread_.joinable()) return;
  ::eventfd_write(end_.get(), 1);
  thread_.join();
}

void FakeBackEnd::serve() {
  std::array<pollfd, 2> first{pollfd{end_.get(), POLLIN, 0}, pollfd{listener_.get(), POLLIN, 0}};
  ::poll(first.data(), first.size(), -1);
  if (first[0].revents == 0) socket_ = vmm::Fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  listener_.reset();
  bool goes_on = socket_.valid() && fault_ != Fault::HangsUpAtOnce;
  while (goes_on) {
    std::vector<pollfd> waiting{{end_.get(), POLLIN, 0}, {socket_.get(), POLLIN, 0}};
    std::vector<std::uint32_t> numbers;
    for (auto& [number, queue] : queues_) {
      if (!queue.enabled || !queue.kick) continue;
      waiting.push_back({queue.kick.get(), POLLIN, 0});
      numbers.push_back(number);
    }
    ::poll(waiting.data(), waiting.size(), -1);
    if (waiting[0].revents != 0) break;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      if (waiting[i + 2].revents == 0) continue;
      Queue& queue = queues_[numbers[i]];
      eventfd_t kicked = 0;
      ::eventfd_read(queue.kick.get(), &kicked);
      work(queue);
    }
    if (waiting[1].revents == 0) continue;
    auto message = receive();
    goes_on = message && handle(*message);
  }
  socket_.reset();
  const std::lock_guard lock(mutex_);
  queues_.clear();
  unmap();
}

std::optional<FakeBackEnd::Message> FakeBackEnd::receive() {
  Message message;
  iovec part{&message.header, sizeof message.header};
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int) * vhost::kMostRegions)> control{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  if (::recvmsg(socket_.get(), &header, MSG_WAITALL | MSG_CMSG_CLOEXEC) != sizeof message.header)
    return std::nullopt;
  if (const cmsghdr* rights = CMSG_FIRSTHDR(&header); rights != nullptr) {
    for (std::size_t i = 0; i < (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
      message.fds.emplace_back(
          load<int>(reinterpret_cast<const std::byte*>(CMSG_DATA(rights)) + i * sizeof(int)));
    }
  }
  message.payload.resize(message.header.bytes);
  if (message.header.bytes != 0 && ::recv(socket_.get(), message.payload.data(), message.payload.size(),
                                          MSG_WAITALL) != static_cast<ssize_t>(message.payload.size())) {
    return std::nullopt;
  }
  return message;
}

void FakeBackEnd::answer(const vhost::Header& to, std::span<const std::byte> payload) {
  vhost::Header header{to.request, vhost::kVersion | vhost::kFlagReply,
                       static_cast<std::uint32_t>(payload.size())};
  if (fault_ == Fault::WrongAnswer) header.request = 99;
  if (fault_ == Fault::HugeAnswer) header.bytes = 0xffff'ffff;
  std::vector<std::byte> bytes(sizeof header);
  std::memcpy(bytes.data(), &header, sizeof header);
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  static_cast<void>(::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL));
}

void FakeBackEnd::answer(const vhost::Header& to, std::uint64_t value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  answer(to, fault_ == Fault::ShortAnswer ? bytes.first(4) : bytes);
}

bool FakeBackEnd::handle(Message& message) {
  const std::lock_guard lock(mutex_);
  const auto request = static_cast<vhost::Request>(message.header.request);
  requests_.push_back(request);
  switch (request) {
    case vhost::Request::GetFeatures:
      answer(message.header,
             fault_ == Fault::Legacy ? kFeatures & ~vmm::virtio::kFeatureVersion1 : kFeatures);
      return true;
    case vhost::Request::GetProtocolFeatures:
      answer(message.header, fault_ == Fault::NoConfig ? kProtocol & ~vhost::kProtocolConfig : kProtocol);
      return true;
    case vhost::Request::GetQueueCount:
      answer(message.header, kQueues);
      return true;
    case vhost::Request::GetConfig:
      store(message.payload.data() + sizeof(vhost::ConfigHeader), kSectors);
      answer(message.header, message.payload);
      return true;
    case vhost::Request::SetFeatures:
      features_ = first<std::uint64_t>(message.payload);
      break;
    case vhost::Request::SetMemoryTable:
      if (fault_ == Fault::DiesAtMemory) return false;
      set_memory(message);
      break;
    case vhost::Request::GetQueueBase:
      queues_.erase(first<vhost::QueueState>(message.payload).queue);
      answer(message.header, message.payload);
      return true;
    default:
      set_queue(message);
      break;
  }
  if ((message.header.flags & vhost::kFlagNeedReply) != 0) {
    const bool refuses = fault_ == Fault::RefusesMemory && request == vhost::Request::SetMemoryTable;
    answer(message.header, std::uint64_t{refuses ? 1U : 0U});
  }
  return true;
}

void FakeBackEnd::set_memory(Message& message) {
  unmap();
  const auto count = first<vhost::MemoryHeader>(message.payload).regions;
  for (std::uint32_t i = 0; i < count && i < message.fds.size(); ++i) {
    const auto region =
        load<vhost::Region>(message.payload.data() + sizeof(vhost::MemoryHeader) + i * sizeof(vhost::Region));
    void* const at = ::mmap(nullptr, region.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, message.fds[i].get(),
                            static_cast<off_t>(region.mmap_offset));
    if (at != MAP_FAILED) memory_.push_back({region, static_cast<std::byte*>(at)});
  }
}

void FakeBackEnd::set_queue(Message& message) {
  Queue& queue = queues_[first<std::uint32_t>(message.payload)];
  switch (static_cast<vhost::Request>(message.header.request)) {
    case vhost::Request::SetQueueSize:
      queue.size = first<vhost::QueueState>(message.payload).value;
      break;
    case vhost::Request::SetQueueAddresses:
      queue.addresses = first<vhost::QueueAddresses>(message.payload);
      break;
    case vhost::Request::SetQueueKick:
      queue.kick = std::move(message.fds.at(0));
      break;
    case vhost::Request::SetQueueCall:
      if (!message.fds.empty()) queue.call = std::move(message.fds[0]);
      break;
    case vhost::Request::SetQueueEnable:
      queue.enabled = first<vhost::QueueState>(message.payload).value != 0;
      break;
    default:
      break;
  }
}

void FakeBackEnd::unmap() {
  for (const Mapping& mapping : memory_) ::munmap(mapping.bytes, mapping.region.bytes);
  memory_.clear();
}

std::byte* FakeBackEnd::find(std::uint64_t user, std::uint64_t bytes) const {
  for (const Mapping& mapping : memory_) {
    const vhost::Region& region = mapping.region;
    if (user >= region.user && user - region.user < region.bytes &&
        bytes <= region.bytes - (user - region.user)) {
      return mapping.bytes + (user - region.user);
    }
  }
  return nullptr;
}

void FakeBackEnd::work(Queue& queue) {
  if (fault_ == Fault::Swallows) return;
  if (fault_ == Fault::Speaks) return answer({}, 0);
  const std::lock_guard lock(mutex_);
  const std::byte* descriptors = find(queue.addresses.descriptors, queue.size * sizeof(Descriptor));
  std::byte* available = find(queue.addresses.driver_area, 6 + 2 * queue.size);
  std::byte* used = find(queue.addresses.device_area, 6 + 8 * queue.size);
  if (descriptors == nullptr || available == nullptr || used == nullptr) return;
  for (; queue.next != load<std::uint16_t>(available + 2); ++queue.next) {
    const auto head = load<std::uint16_t>(available + 4 + queue.next % queue.size * 2);
    auto descriptor = load<Descriptor>(descriptors + head % queue.size * sizeof(Descriptor));
    const std::byte* request = find(descriptor.address, 16);
    if (request == nullptr) return;
    const auto sector = load<std::uint64_t>(request + 8);
    while ((descriptor.flags & kNext) != 0) {
      descriptor = load<Descriptor>(descriptors + descriptor.next % queue.size * sizeof(Descriptor));
      std::byte* bytes = find(descriptor.address, descriptor.bytes);
      if (bytes == nullptr || (descriptor.flags & kDeviceWrites) == 0) continue;
      const bool is_data = (descriptor.flags & kNext) != 0;
      std::fill_n(bytes, descriptor.bytes, is_data ? static_cast<std::byte>(sector) : std::byte{0});
    }
    store(used + 4 + queue.next % queue.size * 8, std::uint32_t{head});
    std::atomic_ref(*reinterpret_cast<std::uint16_t*>(used + 2))
        .store(static_cast<std::uint16_t>(queue.next + 1));
    ++served_;
  }
  if (queue.call) ::eventfd_write(queue.call.get(), 1);
}

std::vector<vhost::Request> FakeBackEnd::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

std::vector<vhost::Region> FakeBackEnd::regions() const {
  const std::lock_guard lock(mutex_);
  std::vector<vhost::Region> all;
  for (const Mapping& mapping : memory_) all.push_back(mapping.region);
  return all;
}

std::uint64_t FakeBackEnd::features() const {
  const std::lock_guard lock(mutex_);
  return features_;
}

std::size_t FakeBackEnd::running() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(
      std::ranges::count_if(queues_, [](const auto& each) { return each.second.enabled; }));
}

}  // namespace test

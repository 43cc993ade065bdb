#include "vmm/vhost_user/device.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "vmm/confine/confinement.h"
#include "vmm/devices/registers.h"
#include "vmm/log.h"

namespace vmm::vhost_user {
namespace {

// Of virtio-blk (virtio 1.2, 5.2).
constexpr std::uint64_t kBlockQueues = std::uint64_t{1} << 12;
/// Size and segment limits, geometry, read-only, block size, flush, topology, queues, discard, write zeroes:
/// what needs nothing of the front end. A cache mode that the driver can switch does.
constexpr std::uint64_t kBlockFeatures = 0x7676;
constexpr std::uint32_t kBlockConfigBytes = 60;
constexpr std::uint64_t kBlockConfigQueues = 34;
// Of virtio-fs (5.11): a queue for what must not wait, and one for requests.
constexpr unsigned kFileSystemQueues = 2;
constexpr std::uint32_t kFileSystemRequestQueues = 1;

constexpr std::uint64_t kRingFeatures =
    virtio::kFeatureIndirect | virtio::kFeatureEventIndex | virtio::kFeatureVersion1;

}  // namespace

uvm::Result<std::unique_ptr<Device>> Device::create(const std::string& name, const Options& options,
                                                    const Environment& environment) {
  auto back_end = BackEnd::connect(options.socket);
  if (!back_end) return std::move(back_end).error().with_context(name);
  std::unique_ptr<Device> device(new Device(name, options, environment, *std::move(back_end)));
  if (auto ready = device->set_up(); !ready) return std::move(ready).error().with_context(name);
  return device;
}

Device::Device(const std::string& name, const Options& options, const Environment& environment,
               BackEnd back_end)
    : options_(options),
      environment_(environment),
      owner_(uvm::PinOwner::create(name)),
      back_end_(std::move(back_end)) {}

Device::~Device() {
  finish();
}

uvm::Status Device::set_up() {
  features_ = back_end_->features() & kRingFeatures;
  if (options_.kind == Kind::Block) {
    UVMM_CHECK(set_up_block());
  } else {
    set_up_file_system();
  }
  return uvm::ok();
}

uvm::Status Device::attach(virtio::DeviceHost& host) {
  host_ = &host;
  wake_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_) return uvm::Error::from_errno(errno, "eventfd for its thread");
  try {
    thread_ = std::thread([this] { loop(); });
  } catch (const std::system_error& failure) {
    return uvm::Error::from_errno(failure.code().value(), "thread");
  }
  return uvm::ok();
}

uvm::Status Device::set_up_block() {
  features_ |= back_end_->features() & kBlockFeatures;
  UVMM_TRY(config_, back_end_->config(kBlockConfigBytes));
  if ((features_ & kBlockQueues) == 0) return uvm::ok();
  queues_ = std::min<unsigned>(back_end_->queues(), environment_.vcpus);
  devices::store_le(std::span(config_).subspan(kBlockConfigQueues, 2), queues_);
  return uvm::ok();
}

void Device::set_up_file_system() {
  queues_ = kFileSystemQueues;
  config_.resize(kMostTagBytes + sizeof kFileSystemRequestQueues);
  std::ranges::copy(
      std::as_bytes(std::span(options_.tag)).first(std::min(options_.tag.size(), kMostTagBytes)),
      config_.begin());
  devices::store_le(std::span(config_).subspan(kMostTagBytes), kFileSystemRequestQueues);
}

virtio::DeviceType Device::type() const {
  return options_.kind == Kind::Block ? virtio::DeviceType::Block : virtio::DeviceType::FileSystem;
}

void Device::read_config(std::uint64_t offset, std::span<std::byte> data) const {
  devices::read_block(config_, offset, data);
}

// ---- orders

void Device::order(Order order) {
  {
    const uvm::MutexLock lock(mutex_);
    orders_.push_back(std::move(order));
  }
  ::eventfd_write(wake_.get(), 1);
}

std::optional<Device::Order> Device::next_order() {
  const uvm::MutexLock lock(mutex_);
  if (orders_.empty()) return std::nullopt;
  Order next = std::move(orders_.front());
  orders_.pop_front();
  return next;
}

void Device::start(const virtio::Activation& activation) {
  order({Order::Verb::Start, activation});
}

void Device::stop() {
  order({Order::Verb::Stop, {}});
}

void Device::finish() {
  if (!thread_.joinable()) return;
  order({Order::Verb::Finish, {}});
  thread_.join();
}

// ---- the thread

void Device::loop() {
  confine::enter(confine::ThreadKind::DeviceWorker);
  while (!finishing_) {
    std::vector<pollfd> waiting{{wake_.get(), POLLIN, 0}, {back_end_ ? back_end_->fd() : -1, POLLIN, 0}};
    for (std::size_t i = 0; failed_ && i < failed_->size(); ++i) {
      waiting.push_back({failed_->kick(i).get(), POLLIN, 0});
    }
    if (::poll(waiting.data(), waiting.size(), -1) < 0) continue;  // a signal
    eventfd_t woken = 0;
    ::eventfd_read(wake_.get(), &woken);
    for (std::size_t i = 2; i < waiting.size(); ++i) {
      if (waiting[i].revents == 0) continue;
      ::eventfd_read(waiting[i].fd, &woken);
      serve_failed(i - 2);
    }
    if (back_end_ && waiting[1].revents != 0) lose(back_end_->why_readable());
    while (const auto next = next_order()) carry_out(*next);
  }
}

void Device::carry_out(const Order& order) {
  if (order.verb == Order::Verb::Start) return start_now(order.activation);
  finishing_ = order.verb == Order::Verb::Finish;
  activation_.reset();
  failed_.reset();
  if (const auto done = take_back(); !done) lose(done.error());
  if (!finishing_) host_->stopped();
}

void Device::start_now(const virtio::Activation& activation) {
  activation_ = activation;
  if (!back_end_) {
    host_->failed();
    if (hung_up_) answer_with_errors();
    return;
  }
  auto memory = MemoryTable::create(environment_.space, environment_.ram, owner_);
  if (!memory) {
    // Not the back end's fault: a driver that tries again may have more luck.
    log::event(log::Level::Error, "guest memory could not be given to a vhost-user device",
               {{"device", owner_->name()}, {"error", memory.error().text()}});
    return host_->failed();
  }
  memory_ = *std::move(memory);
  if (const auto done = hand_over(activation); !done) return lose(done.error());
  log::event(log::Level::Info, "vhost-user device is started",
             {{"device", owner_->name()}, {"queues", std::to_string(started_.size())}});
}

uvm::Status Device::hand_over(const virtio::Activation& activation) {
  UVMM_CHECK(back_end_->set_features(activation.features));
  UVMM_CHECK(back_end_->set_memory(*memory_));
  for (const virtio::Queue& queue : activation.queues) {
    UVMM_CHECK(back_end_->start(queue));
    started_.push_back(queue.index);
  }
  return uvm::ok();
}

uvm::Status Device::take_back() {
  for (const unsigned queue : std::exchange(started_, {})) {
    if (back_end_) UVMM_CHECK(back_end_->stop(queue));
  }
  memory_.reset();
  return uvm::ok();
}

void Device::lose(const uvm::Error& error) {
  log::event(log::Level::Error, "vhost-user device has failed",
             {{"device", owner_->name()}, {"error", error.text()}});
  back_end_.reset();
  memory_.reset();
  started_.clear();
  hung_up_ = error.kind() == uvm::ErrorKind::EndOfObject;
  // First, so that a driver that looks at the status when a request fails finds the reason.
  if (!finishing_) host_->failed();
  if (hung_up_ && activation_) answer_with_errors();
}

// ---- without a back end

void Device::answer_with_errors() {
  const auto is_ram = [this](std::uint64_t gpa, std::uint64_t bytes) {
    const auto range = uvm::GpaRange::from_size(uvm::Gpa(gpa), bytes);
    return range &&
           std::ranges::any_of(environment_.ram, [&](uvm::GpaRange ram) { return ram.contains(*range); });
  };
  failed_.emplace(FailedQueues::Surroundings{environment_.space, owner_, is_ram}, options_.kind,
                  *activation_);
  for (std::size_t i = 0; i < failed_->size(); ++i) serve_failed(i);
  if (failed_->unanswered() == 0) return;
  log::event(log::Level::Warning, "requests of a vhost-user device wait until it is certain which they are",
             {{"device", owner_->name()}, {"requests", std::to_string(failed_->unanswered())}});
}

void Device::serve_failed(std::size_t queue) {
  if (const auto served = failed_->serve(queue); !served) {
    log::event(log::Level::Warning, "a queue of a vhost-user device is not served",
               {{"device", owner_->name()}, {"error", served.error().text()}});
  }
}

}  // namespace vmm::vhost_user

#include "vmm/virtio/local_device.h"

#include <pthread.h>
#include <sys/eventfd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <future>
#include <system_error>
#include <utility>

#include "vmm/confine/confinement.h"
#include "vmm/log.h"

namespace vmm::virtio {

namespace asio = boost::asio;

namespace {

constexpr std::uint64_t kRingFeatures = kFeatureIndirect | kFeatureEventIndex | kFeatureVersion1;

}  // namespace

SplitQueue* QueueSet::find(unsigned index) {
  for (SplitQueue& queue : queues_) {
    if (queue.index() == index) return &queue;
  }
  return nullptr;
}

LocalDevice::LocalDevice(std::string name, Surroundings around, std::unique_ptr<Service> service)
    : name_(std::move(name)), around_(std::move(around)), service_(std::move(service)) {}

LocalDevice::~LocalDevice() {
  finish();
}

std::uint64_t LocalDevice::features() const {
  return service_->features() | kRingFeatures;
}

void LocalDevice::read_config(std::uint64_t offset, std::span<std::byte> data) const {
  service_->read_config(offset, data);
}

void LocalDevice::write_config(std::uint64_t offset, std::span<const std::byte> data) {
  service_->write_config(offset, data);
}

uvm::Status LocalDevice::attach(DeviceHost& host) {
  host_ = &host;
  UVMM_CHECK(service_->attach({io_, [&host] { host.config_changed(); }}));
  try {
    thread_ = std::thread([this] {
      ::pthread_setname_np(::pthread_self(), name_.c_str());
      confine::enter(confine::ThreadKind::DeviceWorker);
      const auto stays = asio::make_work_guard(io_);
      io_.run();
    });
  } catch (const std::system_error& failure) {
    return uvm::Error::from_errno(failure.code().value(), "thread");
  }
  return uvm::ok();
}

void LocalDevice::post(std::function<void()> work) {
  asio::post(io_, std::move(work));
}

void LocalDevice::start(const Activation& activation) {
  post([this, activation] {
    place(activation);
    begin();
  });
}

void LocalDevice::stop() {
  post([this] {
    drain([this] {
      service_->forget();
      place(std::nullopt);
      host_->stopped();
    });
  });
}

void LocalDevice::finish() {
  if (!thread_.joinable()) return;
  post([this] { drain([this] { io_.stop(); }); });
  thread_.join();
}

void LocalDevice::rest() {
  std::promise<void> resting;
  post([this, &resting] {
    if (rests_++ != 0) return resting.set_value();
    drain([&resting] { resting.set_value(); });
  });
  resting.get_future().wait();
}

void LocalDevice::go_on() {
  post([this] {
    if (--rests_ == 0) begin();
  });
}

uvm::Status LocalDevice::work_at_rest(const std::function<void()>& work) {
  rest();
  std::promise<bool> done;
  post([this, &work, &done] {
    const bool is_alone = rests_ == 1;
    if (is_alone) work();
    done.set_value(is_alone);
  });
  const bool was_alone = done.get_future().get();
  go_on();
  if (was_alone) return uvm::ok();
  return uvm::Error(uvm::ErrorKind::Busy, name_ + ": the machine is being copied", "try again");
}

void LocalDevice::place(std::optional<Activation> activation) {
  activation_ = std::move(activation);
  positions_.assign(activation_ ? activation_->queues.size() : 0, {});
  broken_ = false;
}

void LocalDevice::state(devices::StateFields& fields) {
  for (QueuePosition& position : positions_) {
    fields.field(position.taken);
    fields.field(position.returned);
  }
  fields.field(broken_);
  service_->state(fields);
}

// ---- the thread

void LocalDevice::begin() {
  if (!activation_ || broken_ || rests_ != 0) return;
  queues_.features_ = activation_->features;
  queues_.queues_.reserve(activation_->queues.size());
  for (std::size_t i = 0; i < activation_->queues.size(); ++i) {
    auto queue = SplitQueue::create(around_, activation_->queues[i], activation_->features, positions_[i]);
    if (!queue) return fail(queue.error());
    queues_.queues_.push_back(*std::move(queue));
  }
  kicks_.reserve(queues_.queues_.size());
  for (SplitQueue& queue : queues_.queues_) {
    kicks_.emplace_back(io_, queue.kick().get());
    hear(kicks_.back(), queue);
  }
  service_->started(queues_);
  for (std::size_t i = 0; i < queues_.queues_.size(); ++i) serve(queues_.queues_[i]);
}

void LocalDevice::hear(FdWatch& kick, SplitQueue& queue) {
  kick.wait(FdWatch::For::Reading, [this, &kick, &queue] {
    eventfd_t count = 0;
    ::eventfd_read(queue.kick().get(), &count);
    hear(kick, queue);
    serve(queue);
  });
}

void LocalDevice::serve(SplitQueue& queue) {
  served_.fetch_add(1, std::memory_order_relaxed);
  if (auto served = service_->serve(queue); !served) fail(served.error());
}

void LocalDevice::drain(std::function<void()> then) {
  kicks_.clear();
  if (queues_.queues_.empty()) return then();
  after_drain_.push_back(std::move(then));
  if (after_drain_.size() != 1) return;
  service_->drain([this] {
    let_go();
    for (const auto& next : std::exchange(after_drain_, {})) next();
  });
}

void LocalDevice::let_go() {
  for (std::size_t i = 0; i < queues_.queues_.size(); ++i) positions_[i] = queues_.queues_[i].position();
  queues_.queues_.clear();
}

void LocalDevice::fail(const uvm::Error& error) {
  if (broken_) return;
  log::event(log::Level::Warning, "virtio device stands still until its driver resets it",
             {{"device", name_}, {"error", error.text()}});
  broken_ = true;
  // Not from here: whoever found out still has the queue in its hands.
  post([this] { drain([this] { host_->failed(); }); });
}

}  // namespace vmm::virtio

#include "vmm/virtio/transport.h"

#include <sys/eventfd.h>

#include <cerrno>
#include <utility>

#include "vmm/virtio/activation.h"

namespace vmm::virtio {

Transport::Transport(std::string name, std::unique_ptr<Device> device, Vectors vectors, IsRam is_ram)
    : name_(std::move(name)),
      device_(std::move(device)),
      common_({device_->features(), device_->queues(), device_->queue_limit(),
               vectors == Vectors::OneEach ? device_->queues() + 1 : 0}),
      state_name_("virtio-" + name_),
      is_ram_(std::move(is_ram)) {}

uvm::Result<Fd> Transport::make_event() {
  Fd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) return uvm::Error::from_errno(errno, "eventfd for a queue");
  return event;
}

uvm::Status Transport::open_kicks() {
  for (unsigned i = 0; i < device_->queues(); ++i) {
    UVMM_TRY(Fd kick, make_event());
    kicks_.push_back(std::move(kick));
  }
  return uvm::ok();
}

void Transport::notify(std::uint64_t queue) const {
  if (queue < kicks_.size()) ::eventfd_write(kicks_[queue].get(), 1);
}

// ---- the device's life

std::optional<Activation> Transport::activation_locked() const {
  // Always inside a function that holds the lock.
  const auto call = [this](std::uint16_t vector) NO_THREAD_SAFETY_ANALYSIS { return call_locked(vector); };
  return activation_of(common_, is_ram_, kicks_, call);
}

void Transport::start_locked() {
  const auto activation = activation_locked();
  if (!activation) {
    common_.set_needs_reset();
    return tell_change_locked();
  }
  life_ = Life::Running;
  device_->start(*activation);
}

void Transport::reset_locked() {
  if (life_ == Life::Stopping) return;
  if (life_ == Life::Running) {
    life_ = Life::Stopping;
    return device_->stop();
  }
  common_.complete_reset();
  forget_causes_locked();
}

void Transport::stopped() {
  const uvm::MutexLock lock(mutex_);
  life_ = Life::Idle;
  reset_locked();
}

void Transport::failed() {
  const uvm::MutexLock lock(mutex_);
  if (life_ != Life::Running) return;
  common_.set_needs_reset();
  tell_change_locked();
}

void Transport::config_changed() {
  const uvm::MutexLock lock(mutex_);
  common_.next_generation();
  // A driver that is not ready yet reads it all anyhow, and must not be interrupted (virtio 1.2, 3.1.1).
  if ((common_.status() & status::kDriverOk) != 0) tell_change_locked();
}

// ---- standing still

devices::Stateful* Transport::stateful() {
  return device_->resting() != nullptr ? this : nullptr;
}

uvm::Status Transport::can_rest() const {
  Resting* const device = device_->resting();
  if (device == nullptr) return uvm::ok();
  if (auto can = device->can_rest(); !can) return std::move(can).error().with_context(name_);
  return uvm::ok();
}

void Transport::rest() {
  if (Resting* const device = device_->resting()) device->rest();
}

void Transport::go_on() {
  if (Resting* const device = device_->resting()) device->go_on();
}

std::optional<Activation> Transport::place_locked() {
  const bool is_started = (common_.status() & status::kDriverOk) != 0;
  auto activation = is_started ? activation_locked() : std::nullopt;
  life_ = activation ? Life::Running : Life::Idle;
  device_->resting()->place(activation);
  return activation;
}

}  // namespace vmm::virtio

#include "vmm/machine/vcpu_group.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "vmm/confine/confinement.h"

namespace vmm {
namespace {

/// A guest's watchdogs look after 10 seconds at the earliest. Shorter pauses, of which a debugger makes
/// thousands, stay free of a call.
constexpr std::chrono::seconds kLongPause{1};

}  // namespace

VcpuGroup::VcpuGroup(std::vector<std::unique_ptr<kvm::Vcpu>> vcpus, ExitHandler& handler)
    : vcpus_(std::move(vcpus)), handler_(handler), seats_(vcpus_.size()) {}

VcpuGroup::~VcpuGroup() {
  stop();
}

uvm::Status VcpuGroup::start() {
  UVMM_CHECK(kvm::install_kick_handler());
  {
    const uvm::MutexLock lock(mutex_);
    running_ = vcpus_.size();
  }
  for (const auto& vcpu : vcpus_) {
    threads_.emplace_back([this, &vcpu] { loop(*vcpu); });
    const std::string name = "vcpu" + std::to_string(vcpu->id());
    pthread_setname_np(threads_.back().native_handle(), name.c_str());
  }
  return uvm::ok();
}

void VcpuGroup::pause() {
  if (begin_pause()) return;
  const uvm::MutexLock lock(mutex_);
  while (running_ != 0) changed_.wait(mutex_);
}

bool VcpuGroup::begin_pause() {
  const uvm::MutexLock lock(mutex_);
  ++pauses_;
  set_attention_locked();
  kick_running_locked();
  return running_ == 0;
}

void VcpuGroup::resume() {
  const uvm::MutexLock lock(mutex_);
  --pauses_;
  set_attention_locked();
  wake_locked();
}

bool VcpuGroup::all_parked() {
  const uvm::MutexLock lock(mutex_);
  return running_ == 0 && pauses_ != 0;
}

void VcpuGroup::hold(std::size_t index, Hold hold) {
  const uvm::MutexLock lock(mutex_);
  seats_[index].hold = hold;
  set_attention_locked();
}

void VcpuGroup::set_attention_locked() {
  const bool held = std::ranges::find(seats_, Hold::Held, &Seat::hold) != seats_.end();
  attention_.store(stopping_ || pauses_ != 0 || held, std::memory_order_release);
}

void VcpuGroup::stop() {
  {
    const uvm::MutexLock lock(mutex_);
    stopping_ = true;
    set_attention_locked();
    wake_locked();
    kick_running_locked();
  }
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

/// Those that are parked would find the kick at their next entry, and leave at once for nothing; so would the
/// one that asks, which looks at attention_ before it enters.
void VcpuGroup::kick_running_locked() {
  for (std::size_t i = 0; i < vcpus_.size(); ++i) {
    if (!seats_[i].parked && seats_[i].thread != std::this_thread::get_id()) vcpus_[i]->kick();
  }
}

void VcpuGroup::wake_locked() {
  for (const auto& vcpu : vcpus_) {
    if (!parked_locked(*vcpu) || stopping_) seats_[vcpu->id()].may_go.notify_all();
  }
}

bool VcpuGroup::parked_locked(const kvm::Vcpu& vcpu) const {
  return pauses_ != 0 || seats_[vcpu.id()].hold == Hold::Held;
}

bool VcpuGroup::may_run(kvm::Vcpu& vcpu) {
  if (!attention_.load(std::memory_order_acquire)) return true;
  {
    const uvm::MutexLock lock(mutex_);
    if (stopping_) return false;
    if (!parked_locked(vcpu)) return true;
  }
  if (handler_.parking(vcpu) == Next::EndMachine) {
    handler_.ended();
    return false;
  }
  leave(vcpu);
  const auto parked = std::chrono::steady_clock::now();
  const uvm::MutexLock lock(mutex_);
  Seat& seat = seats_[vcpu.id()];
  while (parked_locked(vcpu) && !stopping_) seat.may_go.wait(mutex_);
  if (std::chrono::steady_clock::now() - parked >= kLongPause) vcpu.tell_stood_still();
  seat.parked = false;
  ++running_;
  return !stopping_;
}

void VcpuGroup::leave(const kvm::Vcpu& vcpu) {
  bool last = false;
  {
    const uvm::MutexLock lock(mutex_);
    seats_[vcpu.id()].parked = true;
    last = --running_ == 0 && pauses_ != 0;
    changed_.notify_all();
  }
  if (last) handler_.all_parked();
}

void VcpuGroup::loop(kvm::Vcpu& vcpu) {
  confine::enter(confine::ThreadKind::Vcpu);
  {
    const uvm::MutexLock lock(mutex_);
    seats_[vcpu.id()].thread = std::this_thread::get_id();
  }
  while (may_run(vcpu)) {
    auto exit = vcpu.run();
    if (!exit) {
      handler_.failed(vcpu, exit.error());
      handler_.ended();
      break;
    }
    if (handler_.handle(vcpu, *exit) == Next::EndMachine) {
      handler_.ended();
      break;
    }
  }
  leave(vcpu);
}

}  // namespace vmm

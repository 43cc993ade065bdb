#include "vmm/machine/vcpu_group.h"

#include <pthread.h>

#include <algorithm>
#include <string>
#include <utility>

namespace vmm {

VcpuGroup::VcpuGroup(std::vector<std::unique_ptr<kvm::Vcpu>> vcpus, ExitHandler& handler)
    : vcpus_(std::move(vcpus)), handler_(handler), holds_(vcpus_.size(), Hold::Released) {}

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
  bool parked = false;
  {
    const uvm::MutexLock lock(mutex_);
    ++pauses_;
    set_attention_locked();
    parked = running_ == 0;
  }
  kick_all();
  return parked;
}

void VcpuGroup::resume() {
  const uvm::MutexLock lock(mutex_);
  --pauses_;
  set_attention_locked();
  changed_.notify_all();
}

bool VcpuGroup::all_parked() {
  const uvm::MutexLock lock(mutex_);
  return running_ == 0 && pauses_ != 0;
}

void VcpuGroup::hold(std::size_t index, Hold hold) {
  const uvm::MutexLock lock(mutex_);
  holds_[index] = hold;
  set_attention_locked();
}

void VcpuGroup::set_attention_locked() {
  const bool held = std::find(holds_.begin(), holds_.end(), Hold::Held) != holds_.end();
  attention_.store(stopping_ || pauses_ != 0 || held, std::memory_order_release);
}

void VcpuGroup::stop() {
  {
    const uvm::MutexLock lock(mutex_);
    stopping_ = true;
    set_attention_locked();
    changed_.notify_all();
  }
  if (threads_.empty()) return;
  kick_all();
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

void VcpuGroup::kick_all() {
  for (const auto& vcpu : vcpus_) vcpu->kick();
}

bool VcpuGroup::parked_locked(const kvm::Vcpu& vcpu) const {
  return pauses_ != 0 || holds_[vcpu.id()] == Hold::Held;
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
  leave();
  const uvm::MutexLock lock(mutex_);
  while (parked_locked(vcpu) && !stopping_) changed_.wait(mutex_);
  ++running_;
  return !stopping_;
}

void VcpuGroup::leave() {
  bool last = false;
  {
    const uvm::MutexLock lock(mutex_);
    last = --running_ == 0 && pauses_ != 0;
    changed_.notify_all();
  }
  if (last) handler_.all_parked();
}

void VcpuGroup::loop(kvm::Vcpu& vcpu) {
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
  leave();
}

}  // namespace vmm

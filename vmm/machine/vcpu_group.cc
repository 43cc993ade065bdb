#include "vmm/machine/vcpu_group.h"

#include <pthread.h>

#include <string>
#include <utility>

namespace vmm {

VcpuGroup::VcpuGroup(std::vector<std::unique_ptr<kvm::Vcpu>> vcpus, ExitHandler& handler)
    : vcpus_(std::move(vcpus)), handler_(handler) {}

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
  {
    const uvm::MutexLock lock(mutex_);
    ++pauses_;
    attention_.store(true, std::memory_order_release);
  }
  kick_all();
  const uvm::MutexLock lock(mutex_);
  while (running_ != 0) changed_.wait(mutex_);
}

void VcpuGroup::resume() {
  const uvm::MutexLock lock(mutex_);
  if (--pauses_ == 0 && !stopping_) attention_.store(false, std::memory_order_release);
  changed_.notify_all();
}

void VcpuGroup::stop() {
  {
    const uvm::MutexLock lock(mutex_);
    stopping_ = true;
    attention_.store(true, std::memory_order_release);
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

bool VcpuGroup::may_run() {
  if (!attention_.load(std::memory_order_acquire)) return true;
  const uvm::MutexLock lock(mutex_);
  if (stopping_) return false;
  if (pauses_ == 0) return true;
  --running_;
  changed_.notify_all();
  while (pauses_ != 0 && !stopping_) changed_.wait(mutex_);
  ++running_;
  return !stopping_;
}

void VcpuGroup::loop(kvm::Vcpu& vcpu) {
  while (may_run()) {
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
  const uvm::MutexLock lock(mutex_);
  --running_;
  changed_.notify_all();
}

}  // namespace vmm

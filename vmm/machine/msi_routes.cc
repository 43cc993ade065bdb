#include "vmm/machine/msi_routes.h"

#include <string>
#include <utility>

#include "vmm/kvm/abi.h"

namespace vmm {

MsiRoutes::MsiRoutes(kvm::Vm& vm, std::vector<kvm::PinRoute> fixed)
    : vm_(vm),
      fixed_(std::move(fixed)),
      limit_(static_cast<std::uint32_t>(vm.check_extension(KVM_CAP_IRQ_ROUTING))) {}

uvm::Status MsiRoutes::set_pins(std::vector<kvm::MsiRoute> pins) {
  const uvm::MutexLock lock(mutex_);
  pins_ = std::move(pins);
  return publish_locked();
}

uvm::Result<std::uint32_t> MsiRoutes::take() {
  const uvm::MutexLock lock(mutex_);
  std::uint32_t gsi = kFirstGsi;
  while (messages_.contains(gsi)) ++gsi;
  if (gsi >= limit_) {
    return uvm::Error(uvm::ErrorKind::NoMemory,
                      "KVM has routes for " + std::to_string(limit_) + " interrupts, and all are taken",
                      "attach fewer devices");
  }
  messages_.emplace(gsi, std::nullopt);
  return gsi;
}

uvm::Status MsiRoutes::set(std::uint32_t gsi, const devices::MsiMessage& message) {
  const uvm::MutexLock lock(mutex_);
  std::optional<devices::MsiMessage>& route = messages_[gsi];
  if (route == message) return uvm::ok();
  const auto before = std::exchange(route, message);
  auto done = publish_locked();
  if (!done) route = before;
  return done;
}

void MsiRoutes::give_back(std::uint32_t gsi) {
  const uvm::MutexLock lock(mutex_);
  messages_.erase(gsi);
}

uvm::Status MsiRoutes::publish_locked() {
  kvm::Routing routing{fixed_, pins_};
  for (const auto& [gsi, message] : messages_) {
    if (message) routing.messages.push_back({gsi, {message->address, message->data}});
  }
  return vm_.set_routing(routing);
}

}  // namespace vmm

#include "vmm/machine/msi_events.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <utility>

#include "vmm/kvm/abi.h"
#include "vmm/log.h"

namespace vmm {
namespace {

/// Attached to its route while events are delivered. Held, the eventfd keeps what comes: KVM looks at one
/// when it is attached, but would leave the count in it, so the count is taken out before and put in again
/// after.
class KvmMsiEvent final : public devices::MsiEvent {
 public:
  KvmMsiEvent(kvm::Vm& vm, MsiRoutes& routes, Fd event, std::uint32_t gsi)
      : vm_(vm), routes_(routes), event_(std::move(event)), gsi_(gsi) {}
  ~KvmMsiEvent() override {
    hold();
    routes_.give_back(gsi_);
  }
  KvmMsiEvent(const KvmMsiEvent&) = delete;
  KvmMsiEvent& operator=(const KvmMsiEvent&) = delete;

  [[nodiscard]] const Fd& event() const override { return event_; }

  uvm::Status deliver(const devices::MsiMessage& message) override {
    UVMM_CHECK(routes_.set(gsi_, message));
    if (attached_) return uvm::ok();
    eventfd_t waiting = 0;
    const bool had = ::eventfd_read(event_.get(), &waiting) == 0;
    auto done = vm_.attach_irqfd(event_, gsi_);
    attached_ = static_cast<bool>(done);
    if (had) ::eventfd_write(event_.get(), 1);
    return done;
  }

  void hold() override {
    if (!std::exchange(attached_, false)) return;
    if (const auto done = vm_.detach_irqfd(event_, gsi_); !done) {
      log::event(log::Level::Error, "interrupt could not be held", {{"error", done.error().text()}});
    }
  }

  [[nodiscard]] bool pending() const override {
    pollfd waiting{event_.get(), POLLIN, 0};
    return !attached_ && ::poll(&waiting, 1, 0) == 1;
  }

 private:
  kvm::Vm& vm_;
  MsiRoutes& routes_;
  const Fd event_;
  const std::uint32_t gsi_;
  bool attached_ = false;
};

}  // namespace

uvm::Result<std::unique_ptr<devices::MsiEvent>> KvmMsiEvents::create_event() {
  if (vm_.check_extension(KVM_CAP_IRQFD) == 0) {
    return uvm::Error(uvm::ErrorKind::Unsupported, "this KVM takes no interrupts from eventfds (irqfd)",
                      "leave out the devices of other processes");
  }
  Fd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) return uvm::Error::from_errno(errno, "eventfd for an interrupt");
  UVMM_TRY(const std::uint32_t gsi, routes_.take());
  return std::unique_ptr<devices::MsiEvent>(
      std::make_unique<KvmMsiEvent>(vm_, routes_, std::move(event), gsi));
}

}  // namespace vmm

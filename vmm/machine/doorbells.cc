#include "vmm/machine/doorbells.h"

#include "vmm/kvm/abi.h"
#include "vmm/log.h"

namespace vmm {
namespace {

class KvmDoorbell final : public devices::Doorbell {
 public:
  KvmDoorbell(kvm::Vm& vm, const kvm::DoorbellSpec& spec, const Fd& event)
      : vm_(vm), spec_(spec), event_(event) {}
  ~KvmDoorbell() override {
    if (const auto done = vm_.detach_doorbell(spec_, event_); !done) {
      log::event(log::Level::Error, "doorbell could not be taken away", {{"error", done.error().text()}});
    }
  }
  KvmDoorbell(const KvmDoorbell&) = delete;
  KvmDoorbell& operator=(const KvmDoorbell&) = delete;

 private:
  kvm::Vm& vm_;
  const kvm::DoorbellSpec spec_;
  const Fd& event_;
};

}  // namespace

uvm::Result<std::unique_ptr<devices::Doorbell>> KvmDoorbells::attach(std::uint64_t gpa, const Fd& event) {
  if (vm_.check_extension(KVM_CAP_IOEVENTFD) == 0) {
    return uvm::Error(uvm::ErrorKind::Unsupported,
                      "this KVM makes no events of a guest's writes (ioeventfd)");
  }
  // KVM finds one for writes of any width without decoding the instruction, where the processor helps.
  const bool any_width = vm_.check_extension(KVM_CAP_IOEVENTFD_ANY_LENGTH) != 0;
  const kvm::DoorbellSpec spec{kvm::BusSpace::Mmio, gpa, any_width ? 0U : 2U, {}};
  UVMM_CHECK(vm_.attach_doorbell(spec, event));
  return std::unique_ptr<devices::Doorbell>(std::make_unique<KvmDoorbell>(vm_, spec, event));
}

}  // namespace vmm

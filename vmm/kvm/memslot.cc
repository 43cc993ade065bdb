#include "vmm/kvm/memslot.h"

#include <linux/kvm.h>

#include <utility>

#include "vmm/kvm/ioctl.h"
#include "vmm/kvm/vm.h"

namespace vmm::kvm {

using uvm::Error;
using uvm::ErrorKind;
using uvm::Result;
using uvm::Status;

namespace {

std::uint32_t flags_of(const MemSlot::Spec& spec) {
  std::uint32_t flags = 0;
  if (spec.access == SlotAccess::ReadOnly) flags |= KVM_MEM_READONLY;
  if (spec.dirty_log == DirtyLog::On) flags |= KVM_MEM_LOG_DIRTY_PAGES;
  return flags;
}

Error slot_error(int number, const MemSlot::Spec& spec, const char* verb) {
  std::string what = std::string("cannot ") + verb + " memory " + to_string(spec);
  switch (number) {
    case EEXIST:
      return {ErrorKind::Busy, what + ": the range overlaps another slot", "give each slot its own range"};
    case EINVAL:
      return {ErrorKind::Invalid, what + ": KVM refuses the range or the slot id",
              "check the host's physical address width and slot count (uvmm doctor)"};
    default:
      return Error::from_errno(number, std::move(what));
  }
}

}  // namespace

std::string to_string(const MemSlot::Spec& spec) {
  return "slot " + std::to_string(spec.slot) + ", gpa " + uvm::to_string(spec.gpa) + ", hva " +
         uvm::to_string(spec.hva);
}

Result<MemSlot> MemSlot::create(const Vm& vm, const Spec& spec) {
  if (spec.gpa.empty() || !spec.gpa.is_page_aligned() || !spec.hva.is_page_aligned()) {
    return Error(ErrorKind::Invalid, to_string(spec) + ": empty or not page-aligned");
  }
  MemSlot slot(vm.fd(), spec);
  UVMM_CHECK(slot.reinstate());
  return slot;
}

MemSlot::MemSlot(MemSlot&& other) noexcept
    : vm_fd_(std::exchange(other.vm_fd_, -1)),
      spec_(other.spec_),
      installed_(std::exchange(other.installed_, false)) {}

MemSlot& MemSlot::operator=(MemSlot&& other) noexcept {
  if (this != &other) {
    (void)remove();
    vm_fd_ = std::exchange(other.vm_fd_, -1);
    spec_ = other.spec_;
    installed_ = std::exchange(other.installed_, false);
  }
  return *this;
}

MemSlot::~MemSlot() {
  (void)remove();
}

Status MemSlot::install(std::uint64_t bytes) {
  kvm_userspace_memory_region region{};
  region.slot = spec_.slot;
  region.flags = bytes == 0 ? 0 : flags_of(spec_);
  region.guest_phys_addr = spec_.gpa.begin().value();
  region.memory_size = bytes;
  region.userspace_addr = spec_.hva.value();
  if (call(vm_fd_, KVM_SET_USER_MEMORY_REGION, &region) < 0) {
    return slot_error(errno, spec_, bytes == 0 ? "remove" : "install");
  }
  return uvm::ok();
}

Status MemSlot::remove() {
  if (!installed_) return uvm::ok();
  UVMM_CHECK(install(0));
  installed_ = false;
  return uvm::ok();
}

Status MemSlot::reinstate() {
  if (installed_) return uvm::ok();
  UVMM_CHECK(install(spec_.gpa.size()));
  installed_ = true;
  return uvm::ok();
}

Status MemSlot::set_dirty_log(DirtyLog mode) {
  const DirtyLog before = std::exchange(spec_.dirty_log, mode);
  if (!installed_ || before == mode) return uvm::ok();
  Status done = install(spec_.gpa.size());
  if (!done) spec_.dirty_log = before;
  return done;
}

}  // namespace vmm::kvm

#include "vmm/kvm/vcpu.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <csignal>

#include <algorithm>
#include <string>

#include "uvm/base/range.h"
#include "vmm/kvm/abi.h"
#include "vmm/kvm/ioctl.h"

namespace vmm::kvm {

using uvm::Error;
using uvm::ErrorKind;
using uvm::Result;
using uvm::Status;

namespace {

void ignore_kick(int) {}

thread_local int known_thread = 0;

/// A child of fork() has the forking thread's variables, and another number for it.
int this_thread() {
  static const int kForgets = ::pthread_atfork(nullptr, nullptr, [] { known_thread = 0; });
  static_cast<void>(kForgets);
  if (known_thread == 0) known_thread = static_cast<int>(::syscall(SYS_gettid));
  return known_thread;
}

}  // namespace

int kick_signal() {
  // A standard signal: the kernel refuses real-time ones (EAGAIN) while the user's queue of pending signals
  // is full, by whatever program, and a kick must not be lost. This one is ignored where nobody expects it.
  return SIGURG;
}

Status install_kick_handler() {
  struct sigaction action {};
  action.sa_handler = ignore_kick;
  sigemptyset(&action.sa_mask);
  if (::sigaction(kick_signal(), &action, nullptr) < 0) {
    return Error::from_errno(errno, "installing the handler of signal " + std::to_string(kick_signal()));
  }
  return uvm::ok();
}

Result<std::unique_ptr<Vcpu>> Vcpu::create(Fd fd, std::uint32_t id, std::size_t page_bytes,
                                           int sync_capability, int xsave_capability) {
  void* page = ::mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (page == MAP_FAILED) {
    return Error::from_errno(errno, "mapping the run page of vCPU " + std::to_string(id));
  }
  std::unique_ptr<Vcpu> vcpu(new Vcpu(std::move(fd), id, static_cast<kvm_run*>(page), page_bytes));
  vcpu->sync_regs_ = (static_cast<unsigned>(sync_capability) & KVM_SYNC_X86_REGS) != 0;
  if (xsave_capability > 0) {
    vcpu->xsave_bytes_ = std::max(sizeof(abi::Xsave), static_cast<std::size_t>(xsave_capability));
  }
  return vcpu;
}

Vcpu::Vcpu(Fd fd, std::uint32_t id, kvm_run* page, std::size_t page_bytes)
    : fd_(std::move(fd)), id_(id), page_(page), page_bytes_(page_bytes) {}

Vcpu::~Vcpu() {
  ::munmap(page_, page_bytes_);
}

Error Vcpu::error(const char* name) const {
  return Error::from_errno(errno, "vCPU " + std::to_string(id_) + ": " + name);
}

void Vcpu::set_immediate_exit(std::uint8_t value) {
  // Also written by kick() on other threads and read by the kernel.
  __atomic_store_n(&page_->immediate_exit, value, __ATOMIC_SEQ_CST);
}

Result<Exit> Vcpu::enter() {
  page_->kvm_valid_regs = sync_regs_ ? KVM_SYNC_X86_REGS : 0;
  page_->exit_reason = KVM_EXIT_UNKNOWN;  // older kernels leave the last one when they fail
  int result;
  do {
    result = ::ioctl(fd_.get(), KVM_RUN, 0);
  } while (result < 0 && errno == EAGAIN);  // woken while waiting for a SIPI
  regs_in_page_ = sync_regs_;
  if (result >= 0) return decode_exit(*page_, page_bytes_);
  switch (errno) {
    case EINTR:
      return Exit(IntrExit{});
    case EFAULT:
    case EHWPOISON:
      if (page_->exit_reason == abi::kExitMemoryFault) return decode_exit(*page_, page_bytes_);
      return Exit(MemoryFaultExit{});
    default:
      return error("KVM_RUN");
  }
}

Result<Exit> Vcpu::run() {
  owner_.store(this_thread(), std::memory_order_relaxed);
  Result<Exit> exit = enter();
  if (exit && std::holds_alternative<IntrExit>(*exit)) {
    // In this order: a kick between the two lines is answered by the IntrExit we are about to return.
    kicked_.store(false);
    set_immediate_exit(0);
  }
  return exit;
}

Result<Exit> Vcpu::complete_pending() {
  owner_.store(this_thread(), std::memory_order_relaxed);
  set_immediate_exit(1);
  Result<Exit> exit = enter();
  set_immediate_exit(0);
  if (kicked_.load()) set_immediate_exit(1);
  return exit;
}

void Vcpu::kick() {
  kicked_.store(true);
  set_immediate_exit(1);
  // The flag catches a thread that is about to enter, the signal one that is inside or blocked.
  const int owner = owner_.load(std::memory_order_relaxed);
  if (owner != 0) ::syscall(SYS_tgkill, ::getpid(), owner, kick_signal());
}

Result<kvm_regs> Vcpu::regs() {
  if (regs_in_page_) return page_->s.regs.regs;
  return get<kvm_regs>(KVM_GET_REGS, "KVM_GET_REGS");
}

Status Vcpu::set_regs(const kvm_regs& regs) {
  if (regs_in_page_) {
    page_->s.regs.regs = regs;
    page_->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
    return uvm::ok();
  }
  return set(KVM_SET_REGS, regs, "KVM_SET_REGS");
}

Status Vcpu::flush_regs() {
  if ((page_->kvm_dirty_regs & KVM_SYNC_X86_REGS) == 0) return uvm::ok();
  UVMM_CHECK(set(KVM_SET_REGS, page_->s.regs.regs, "KVM_SET_REGS"));
  page_->kvm_dirty_regs &= ~std::uint64_t{KVM_SYNC_X86_REGS};
  return uvm::ok();
}

Result<XsaveArea> Vcpu::xsave() const {
  XsaveArea area(xsave_bytes_ / sizeof(std::uint32_t));
  const bool large = xsave_bytes_ > sizeof(abi::Xsave);
  if (call(fd_.get(), large ? abi::kGetXsave2 : abi::kGetXsave, area.data()) < 0)
    return error("KVM_GET_XSAVE");
  return area;
}

Status Vcpu::set_xsave(const XsaveArea& area) {
  if (area.size() * sizeof(std::uint32_t) < xsave_bytes_) {
    return Error(ErrorKind::Invalid, "vCPU " + std::to_string(id_) + ": XSAVE area of " +
                                         std::to_string(area.size() * sizeof(std::uint32_t)) +
                                         " bytes, this host needs " + std::to_string(xsave_bytes_));
  }
  if (call(fd_.get(), abi::kSetXsave, area.data()) < 0) return error("KVM_SET_XSAVE");
  return uvm::ok();
}

}  // namespace vmm::kvm

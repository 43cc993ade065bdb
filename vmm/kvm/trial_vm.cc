#include "vmm/kvm/trial_vm.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <csignal>
#include <ctime>

#include <cstring>

namespace vmm::kvm {

using uvm::Error;
using uvm::Result;
using uvm::Status;

namespace {

constexpr std::uint64_t kBytes = 0x1'0000;
constexpr std::uint64_t kTables = 0x1000;
/// Only a guest in a loop meets it; generous, because a nested host may need tens of milliseconds to begin.
constexpr time_t kLimitSeconds = 1;

/// Interrupts this thread's KVM_RUN again and again until destroyed. Repeating, because the first signal may
/// come before KVM_RUN has begun.
class Watchdog {
 public:
  Watchdog() {
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = kick_signal();
    event._sigev_un._tid = static_cast<int>(::syscall(SYS_gettid));
    armed_ = ::timer_create(CLOCK_MONOTONIC, &event, &timer_) == 0;
    const itimerspec every{{kLimitSeconds, 0}, {kLimitSeconds, 0}};
    if (armed_) ::timer_settime(timer_, 0, &every, nullptr);
  }
  ~Watchdog() {
    if (armed_) ::timer_delete(timer_);
  }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  timer_t timer_{};
  bool armed_;
};

kvm_segment segment(std::uint16_t selector, std::uint8_t type, Ring ring) {
  kvm_segment s{};
  s.limit = 0xffff'ffff;
  s.type = type;
  s.dpl = ring == Ring::User ? 3 : 0;
  s.selector = static_cast<std::uint16_t>(selector | s.dpl);
  s.present = 1;
  s.s = 1;
  s.g = 1;
  return s;
}

void enter_long_mode(kvm_sregs& sregs, Ring ring) {
  sregs.cs = segment(0x08, 11, ring);
  sregs.cs.l = 1;
  sregs.ds = segment(0x10, 3, ring);
  sregs.ds.db = 1;
  sregs.es = sregs.fs = sregs.gs = sregs.ss = sregs.ds;
  sregs.cr0 = 0x8000'0031;  // PG, NE, ET, PE
  sregs.cr3 = kTables;
  sregs.cr4 = 0x20;    // PAE
  sregs.efer = 0x500;  // LMA, LME
}

}  // namespace

Result<std::unique_ptr<TrialVm>> TrialVm::create(const System& system) {
  UVMM_CHECK(install_kick_handler());
  UVMM_TRY(Vm vm, Vm::create(system));
  UVMM_TRY(auto cpuid, system.supported_cpuid());
  std::unique_ptr<TrialVm> trial(new TrialVm(std::move(vm), std::move(cpuid)));
  UVMM_CHECK(trial->build());
  return trial;
}

Status TrialVm::build() {
  void* memory = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return Error::from_errno(errno, "mapping 64 KiB for a trial VM");
  memory_ = static_cast<std::byte*>(memory);
  const auto put = [this](std::uint64_t gpa, std::uint64_t value) {
    std::memcpy(memory_ + gpa, &value, sizeof(value));
  };
  put(kTables, (kTables + 0x1000) | 7);
  put(kTables + 0x1000, (kTables + 0x2000) | 7);
  put(kTables + 0x2000, 0x87);
  ::mprotect(memory_ + kForbidden, uvm::kPageSize, PROT_NONE);
  MemSlot::Spec spec{};
  spec.gpa = *uvm::GpaRange::from_size(uvm::Gpa(0), kBytes);
  spec.hva = uvm::Hva(reinterpret_cast<std::uint64_t>(memory_));
  UVMM_TRY(MemSlot slot, MemSlot::create(vm_, spec));
  slot_.emplace(std::move(slot));
  return uvm::ok();
}

TrialVm::~TrialVm() {
  vcpu_.reset();
  slot_.reset();
  if (memory_ != nullptr) ::munmap(memory_, kBytes);
}

Result<Vcpu*> TrialVm::fresh_vcpu(Ring ring) {
  UVMM_TRY(vcpu_, vm_.create_vcpu(next_id_++));
  UVMM_CHECK(vcpu_->set_cpuid(cpuid_));
  UVMM_TRY(kvm_sregs sregs, vcpu_->sregs());
  enter_long_mode(sregs, ring);
  UVMM_CHECK(vcpu_->set_sregs(sregs));
  kvm_regs regs{};
  regs.rip = kCode;
  regs.rflags = 2;
  regs.rsp = kData + uvm::kPageSize;
  UVMM_CHECK(vcpu_->set_regs(regs));
  return vcpu_.get();
}

Result<Exit> TrialVm::execute(Ring ring, std::span<const std::uint8_t> code, const kvm_guest_debug* debug) {
  std::memcpy(memory_ + kCode, code.data(), code.size());
  UVMM_TRY(Vcpu * vcpu, fresh_vcpu(ring));
  if (debug != nullptr) UVMM_CHECK(vcpu->set_guest_debug(*debug));
  const Watchdog watchdog;
  return vcpu->run();
}

}  // namespace vmm::kvm

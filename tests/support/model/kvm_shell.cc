#include "tests/support/model/kvm_shell.h"

#include <sys/mman.h>

#include <cstring>

#include "tests/support/raw_machine.h"
#include "vmm/kvm/system.h"

namespace test::model {

using uvm::Error;
using uvm::kPageSize;
using uvm::Result;
using uvm::Status;

namespace {

constexpr std::uint64_t kBytes = 0x10000;
constexpr std::uint64_t kTables = 0x1000;  // PML4, PDPT, four directories
constexpr std::uint64_t kCode = 0x8000;
constexpr std::uint64_t kMailbox = 0x9000;
constexpr std::uint64_t kDoorbell = 0xe000'0000;  // no slot: a write ends the run

/// What host and guest tell each other, at kMailbox.
struct Mailbox {
  std::uint64_t address;
  std::uint64_t is_store;
  std::uint64_t stored;
  std::uint64_t loaded;
};

// again:   mov [r15], eax          doorbell: the command before is done
// command: mov rdi, [rbx]          address
//          mov rcx, [rbx+8]        is_store
//          test rcx, rcx
//          jz load
//          mov rax, [rbx+16]       stored
//          mov [rdi], rax
//          jmp again
// load:    mov rax, [rdi]
//          mov [rbx+24], rax       loaded
//          jmp again
constexpr std::uint8_t kProgram[] = {0x41, 0x89, 0x07, 0x48, 0x8b, 0x3b, 0x48, 0x8b, 0x4b, 0x08, 0x48,
                                     0x85, 0xc9, 0x74, 0x09, 0x48, 0x8b, 0x43, 0x10, 0x48, 0x89, 0x07,
                                     0xeb, 0xe8, 0x48, 0x8b, 0x07, 0x48, 0x89, 0x43, 0x18, 0xeb, 0xdf};
constexpr std::uint64_t kCommand = kCode + 3;

}  // namespace

Result<std::unique_ptr<KvmShell>> KvmShell::create() {
  UVMM_TRY(const auto system, vmm::kvm::System::open());
  UVMM_CHECK(vmm::kvm::install_kick_handler());
  UVMM_TRY(auto vm, vmm::kvm::Vm::create(system));
  std::unique_ptr<KvmShell> shell(new KvmShell(std::move(vm)));
  UVMM_CHECK(shell->build());
  UVMM_TRY(const auto cpuid, system.supported_cpuid());
  UVMM_TRY(shell->vcpu_, shell->vm_.create_vcpu(0));
  UVMM_CHECK(shell->vcpu_->set_cpuid(cpuid));
  UVMM_CHECK(shell->enter());
  return shell;
}

KvmShell::~KvmShell() {
  vcpu_.reset();
  slot_.reset();
  if (memory_ != nullptr) ::munmap(memory_, kBytes);
}

Status KvmShell::build() {
  void* memory = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return Error::from_errno(errno, "mapping the shell's memory");
  memory_ = static_cast<std::byte*>(memory);
  write_tables();
  std::memcpy(memory_ + kCode, kProgram, sizeof kProgram);
  vmm::kvm::MemSlot::Spec spec{};
  spec.gpa = *uvm::GpaRange::from_size(uvm::Gpa(0), kBytes);
  spec.hva = uvm::Hva(reinterpret_cast<std::uint64_t>(memory_));
  UVMM_TRY(auto slot, vmm::kvm::MemSlot::create(vm_, spec));
  slot_ = std::make_unique<vmm::kvm::MemSlot>(std::move(slot));
  return uvm::ok();
}

/// The first 4 GiB as they are, for CPL 3 too.
void KvmShell::write_tables() {
  const auto table = [this](std::uint64_t i) {
    return reinterpret_cast<std::uint64_t*>(memory_ + kTables + i * kPageSize);
  };
  table(0)[0] = (kTables + kPageSize) | 7;
  for (std::uint64_t gib = 0; gib < 4; ++gib) {
    table(1)[gib] = (kTables + (2 + gib) * kPageSize) | 7;
    for (std::uint64_t i = 0; i < 512; ++i) table(2 + gib)[i] = gib << 30 | i << 21 | 0x87;
  }
}

Status KvmShell::enter() {
  UVMM_TRY(kvm_sregs sregs, vcpu_->sregs());
  kvm_segment code = test_support::flat_segment(0x1b, 11);
  code.db = 0;
  code.l = 1;
  sregs.cs = code;
  sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = test_support::flat_segment(0x23, 3);
  sregs.cr0 = 0x8000'0031;  // PG, NE, ET, PE
  sregs.cr3 = kTables;
  sregs.cr4 = 0x20;    // PAE
  sregs.efer = 0x500;  // LMA, LME
  UVMM_CHECK(vcpu_->set_sregs(sregs));
  kvm_regs regs{};
  regs.rip = kCommand;
  regs.rflags = 2;
  regs.rbx = kMailbox;
  regs.r15 = kDoorbell;
  return vcpu_->set_regs(regs);
}

Status KvmShell::access(uvm::Gpa at, uvm::AccessKind kind, std::uint64_t& value, const Stopped& stopped) {
  auto* const mailbox = reinterpret_cast<Mailbox*>(memory_ + kMailbox);
  *mailbox = {at.value(), kind == uvm::AccessKind::Write ? 1U : 0U, value, 0};
  while (true) {
    UVMM_TRY(vmm::kvm::Exit exit, vcpu_->run());
    const auto* mmio = std::get_if<vmm::kvm::MmioExit>(&exit);
    if (mmio != nullptr && mmio->gpa.value() == kDoorbell) break;
    if (auto status = stopped(exit); !status) {
      UVMM_CHECK(give_up());
      return status;
    }
  }
  if (kind != uvm::AccessKind::Write) value = mailbox->loaded;
  return uvm::ok();
}

/// The access will not be finished: the next thing the guest does is to look into the mailbox.
Status KvmShell::give_up() {
  UVMM_TRY(const auto exit, vcpu_->complete_pending());
  static_cast<void>(exit);
  UVMM_TRY(kvm_regs regs, vcpu_->regs());
  regs.rip = kCommand;
  return vcpu_->set_regs(regs);
}

}  // namespace test::model

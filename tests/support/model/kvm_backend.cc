#include "tests/support/model/kvm_backend.h"

#include <gtest/gtest.h>

#include <utility>

#include "ept/stage_two.h"
#include "tests/support/model/kvm_shell.h"
#include "uvm/access.h"
#include "vmm/kvm/memslot.h"

namespace test::model {

using uvm::AccessKind;
using uvm::Gpa;
using uvm::Status;
using vmm::kvm::MemSlot;

namespace {

class KvmMachine : public HostMachine, private ept::StageTwo {
 public:
  using Shells = std::vector<std::unique_ptr<KvmShell>>;

  KvmMachine(std::unique_ptr<ept::Pmap> memory, Shells& shells)
      : HostMachine(std::move(memory)), shells_(shells) {
    if (shells_.empty()) {
      shell_ = KvmShell::create().value();
    } else {
      shell_ = std::move(shells_.back());
      shells_.pop_back();
    }
    MemSlot::Spec spec{};
    spec.slot = 1;
    spec.gpa = pmap().covered();
    spec.hva = pmap().window_base();
    slot_.emplace(MemSlot::create(shell_->vm(), spec).value());
    pmap().set_stage_two(this);
  }
  ~KvmMachine() override {
    stop();
    pmap().set_stage_two(nullptr);
    slot_.reset();
    shells_.push_back(std::move(shell_));
  }

  [[nodiscard]] uvm::Result<std::uint64_t> load(Gpa from) override {
    std::uint64_t value = 0;
    UVMM_CHECK(run(from, AccessKind::Read, value));
    return value;
  }
  [[nodiscard]] Status store(Gpa to, std::uint64_t value) override {
    return run(to, AccessKind::Write, value);
  }

 protected:
  void refuse(Gpa page) override {
    if (is_touching(page)) shell_->vcpu().kick();
  }

 private:
  Status run(Gpa at, AccessKind access, std::uint64_t& value) {
    const std::lock_guard lock(running_);
    begin_touch(at);
    auto status =
        shell_->access(at, access, value, [&](vmm::kvm::Exit& exit) { return stopped(exit, at, access); });
    end_touch();
    return status;
  }

  /// An exit in the middle of an access: the host has no page there (EFAULT, or MMIO from an emulator), or an
  /// event was refused (a kick; it may be an old one).
  Status stopped(vmm::kvm::Exit& exit, Gpa at, AccessKind access) {
    if (const auto* mmio = std::get_if<vmm::kvm::MmioExit>(&exit)) {
      EXPECT_TRUE(pmap().covered().contains(mmio->gpa)) << to_string(exit);
      return mmio->direction == vmm::kvm::Direction::Out ? uvm::Access::write(space(), mmio->gpa, mmio->data)
                                                         : uvm::Access::read(space(), mmio->gpa, mmio->data);
    }
    const bool is_known = std::holds_alternative<vmm::kvm::MemoryFaultExit>(exit) ||
                          std::holds_alternative<vmm::kvm::IntrExit>(exit);
    if (!is_known) return uvm::Error(uvm::ErrorKind::Guest, to_string(exit));
    return space().fault(at, access);
  }

  /// Between two accesses, as a machine's vCPUs stand still for it. An access that finds no slot is emulated,
  /// and an emulator that meets an event which is refused never leaves the kernel: its copying is not
  /// interrupted by signals.
  void zap(uvm::GpaRange /*range*/) override {
    const std::lock_guard lock(running_);
    EXPECT_TRUE(slot_->remove());
    EXPECT_TRUE(slot_->reinstate());
  }

  Shells& shells_;
  std::unique_ptr<KvmShell> shell_;
  std::optional<MemSlot> slot_;
  std::mutex running_;
};

}  // namespace

KvmBackend::KvmBackend(Drops drops) : HostBackend(ept::Events::WhenPossible, drops) {}
KvmBackend::~KvmBackend() = default;

Gpa KvmBackend::base() const {
  return Gpa(KvmShell::kMemoryGpa);
}

std::unique_ptr<HostMachine> KvmBackend::bare_machine() {
  return std::make_unique<KvmMachine>(make_pmap(), shells_);
}

}  // namespace test::model

// A virtual machine that does what a mailbox says: a load or a store at a guest-physical address, by a
// program in long mode at CPL 3, so that also a host without virtualisation hardware runs it natively.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "uvm/base/error.h"
#include "uvm/base/units.h"
#include "uvm/protection.h"
#include "vmm/kvm/exit.h"
#include "vmm/kvm/memslot.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/kvm/vm.h"

namespace test::model {

class KvmShell {
 public:
  static uvm::Result<std::unique_ptr<KvmShell>> create();
  ~KvmShell();
  KvmShell(const KvmShell&) = delete;
  KvmShell& operator=(const KvmShell&) = delete;

  /// Where guest memory may be added: the program has page tables for all of the first 4 GiB.
  static constexpr std::uint64_t kMemoryGpa = std::uint64_t{1} << 30;

  [[nodiscard]] const vmm::kvm::Vm& vm() const { return vm_; }
  [[nodiscard]] vmm::kvm::Vcpu& vcpu() { return *vcpu_; }

  /// Has the guest do one access of eight bytes. `stopped` answers every exit but the last; its error ends
  /// the access and is the result.
  using Stopped = std::function<uvm::Status(vmm::kvm::Exit&)>;
  [[nodiscard]] uvm::Status access(uvm::Gpa at, uvm::AccessKind kind, std::uint64_t& value,
                                   const Stopped& stopped);

 private:
  explicit KvmShell(vmm::kvm::Vm vm) : vm_(std::move(vm)) {}
  uvm::Status build();
  void write_tables();
  uvm::Status enter();
  uvm::Status give_up();

  vmm::kvm::Vm vm_;
  std::byte* memory_ = nullptr;
  std::unique_ptr<vmm::kvm::MemSlot> slot_;
  std::unique_ptr<vmm::kvm::Vcpu> vcpu_;
};

}  // namespace test::model

// The least machine that runs a built-in guest: libkvm, anonymous memory in one slot, a handful of ports.
//
// It has no UVM, no devices and no bus, so that tests of vmm/kvm and guest/programs depend on nothing else,
// and so that a benchmark has "plain memory in a slot" to compare against.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "guest/programs/programs.h"
#include "uvm/base/error.h"
#include "uvm/base/lock.h"
#include "vmm/kvm/memslot.h"
#include "vmm/kvm/system.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/kvm/vm.h"

namespace test_support {

/// From 0 to 4 GiB, with 32-bit defaults, for the privilege level that the selector asks for.
[[nodiscard]] kvm_segment flat_segment(std::uint16_t selector, std::uint8_t type);

enum class End {
  ExitPort,  // status() says what was written
  PowerOff,  // ACPI
  Reset,     // i8042
  TripleFault,
  InternalError,  // KVM gave up
  Stopped,        // stop() was called
  Failed,         // anything else; detail() tells
};

class RawMachine {
 public:
  struct Options {
    std::uint64_t memory = std::uint64_t{16} << 20;  // bytes from GPA 0 on, at most 3 GiB
    std::uint32_t vcpus = 1;
    /// Host memory for the slot, `memory` bytes, page-aligned, kept by the caller; nullptr: anonymous memory.
    std::byte* backing = nullptr;
  };
  static uvm::Result<std::unique_ptr<RawMachine>> create(const Options& options);
  ~RawMachine();
  RawMachine(const RawMachine&) = delete;
  RawMachine& operator=(const RawMachine&) = delete;

  /// Copies the image, and for Long64 the loader's tables and the BuiltinInfo, and sets vCPU 0's registers.
  uvm::Status load(const guest::programs::Program& program, std::string_view arguments = {});
  /// Puts raw bytes at `gpa` and enters there in 64-bit mode; for tests of single instructions.
  uvm::Status load_code(std::span<const std::uint8_t> code, std::uint64_t gpa);

  /// One thread a vCPU until something ends the machine.
  End run();
  /// Ends a run() of another thread.
  void stop();

  [[nodiscard]] std::uint32_t status() const { return status_; }
  [[nodiscard]] const std::string& detail() const { return detail_; }
  /// What the guest wrote to port 0x3f8 so far. Any thread.
  [[nodiscard]] std::string serial() const;
  [[nodiscard]] std::byte* memory() const { return memory_; }
  [[nodiscard]] vmm::kvm::Vcpu& vcpu(std::size_t i) { return *vcpus_[i]; }
  [[nodiscard]] vmm::kvm::Vm& vm() { return vm_; }
  [[nodiscard]] vmm::kvm::MemSlot& slot() { return slots_.front(); }

 private:
  RawMachine(const Options& options, vmm::kvm::Vm vm) : options_(options), vm_(std::move(vm)) {}
  uvm::Status build(const vmm::kvm::System& system);
  uvm::Status map_memory();
  void write_loader_tables();
  uvm::Status enter_long_mode(std::uint64_t entry);
  uvm::Status enter_real_mode(std::uint64_t entry);
  void loop(vmm::kvm::Vcpu& vcpu);
  void handle(vmm::kvm::Exit& exit);
  void handle(const vmm::kvm::IoExit& io);
  void out(std::uint16_t port, std::uint32_t value);
  void end(End how, std::string detail = {});

  const Options options_;
  vmm::kvm::Vm vm_;
  std::byte* memory_ = nullptr;
  std::vector<vmm::kvm::MemSlot> slots_;
  std::vector<std::unique_ptr<vmm::kvm::Vcpu>> vcpus_;

  std::atomic<bool> ended_{false};
  mutable uvm::Mutex mutex_{uvm::LockRank::Leaf};
  std::string serial_ GUARDED_BY(mutex_);
  bool decided_ GUARDED_BY(mutex_) = false;
  // Written once under mutex_ before ended_, read after run().
  End end_ = End::Failed;
  std::uint32_t status_ = 0;
  std::string detail_;
};

}  // namespace test_support

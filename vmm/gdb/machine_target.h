// The Target that is a machine of ours: inferiors by pid, vCPUs by tid.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "uvm/base/lock.h"
#include "vmm/debug/inferior.h"
#include "vmm/gdb/target.h"

namespace vmm::gdb {

/// Has one inferior: everything that names a thread goes through find().
class MachineTarget : public Target {
 public:
  struct Machine {
    std::function<void()> end;  // as leaving the console does; any thread
    std::uint32_t pid = ThreadId{}.pid;
  };
  /// `inferior` outlives it, and has not run yet.
  MachineTarget(debug::Inferior& inferior, Machine machine)
      : inferior_(inferior), machine_(std::move(machine)) {
    inferior_.run().set_pid(machine_.pid);
  }

  /// As StopListener::forked(), told to the debugger that is there; then the machine stops for it, if it
  /// runs. Call it with the machine paused, so that it stops where it was copied. Any thread.
  [[nodiscard]] bool forked(Fd door) EXCLUDES(mutex_);

  [[nodiscard]] uvm::Result<StopEvent> attach(StopListener& listener) override;
  void detach(AfterDetach after) override;
  [[nodiscard]] std::uint32_t pid() const override { return machine_.pid; }
  void kill() override { machine_.end(); }

  [[nodiscard]] uvm::Status resume(std::span<const ThreadAction> actions) override;
  void interrupt() override { inferior_.run().interrupt(); }
  void set_step_flags(StepFlags flags) override { inferior_.run().set_step_flags(flags); }

  [[nodiscard]] std::vector<ThreadInfo> threads() override;
  [[nodiscard]] std::string thread_state(ThreadId thread) override;
  [[nodiscard]] XsaveLayout xsave_layout() override;
  [[nodiscard]] uvm::Status read_registers(ThreadId thread, RegisterGroups groups,
                                           RegisterFile& file) override;
  [[nodiscard]] uvm::Status write_registers(ThreadId thread, RegisterGroups groups,
                                            const RegisterFile& file) override;
  [[nodiscard]] uvm::Result<std::size_t> read_memory(AddressSpace space, std::uint64_t address,
                                                     std::span<std::byte> to) override;
  [[nodiscard]] uvm::Status write_memory(AddressSpace space, std::uint64_t address,
                                         std::span<const std::byte> from) override;
  [[nodiscard]] uvm::Result<MemoryRegion> memory_region(AddressSpace space, std::uint64_t address) override;
  [[nodiscard]] uvm::Status insert_breakpoint(AddressSpace space, const Breakpoint& breakpoint) override;
  [[nodiscard]] uvm::Status remove_breakpoint(AddressSpace space, const Breakpoint& breakpoint) override;
  [[nodiscard]] uvm::Status monitor(ThreadId thread, std::string_view line, const TextSink& out) override;
  [[nodiscard]] std::optional<std::uint64_t> kernel_text() override;

 private:
  [[nodiscard]] uvm::Result<std::size_t> find(ThreadId thread) const;
  [[nodiscard]] uvm::Result<debug::Place> place(AddressSpace space, std::uint64_t address) const;

  debug::Inferior& inferior_;
  const Machine machine_;
  uvm::Mutex mutex_{uvm::LockRank::Leaf};
  StopListener* listener_ GUARDED_BY(mutex_) = nullptr;
};

}  // namespace vmm::gdb

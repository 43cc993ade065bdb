// A machine for debuggers that needs no KVM: a few vCPUs over a sparse memory, driven by what tests ask.
//
// A vCPU's program is rip counting up by one. Continuing vCPUs go on until one of them reaches a software or
// hardware breakpoint within kSight, in which case the stop is reported at once; otherwise they run until
// interrupt() or a test's stop(). Events are handed over on the caller's thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "uvm/base/lock.h"
#include "vmm/gdb/target.h"

namespace test {

class FakeDebugTarget : public vmm::gdb::Target {
 public:
  static constexpr std::uint64_t kSight = 0x1000;  // addresses
  static constexpr std::uint64_t kPage = 0x1000;   // bytes

  enum class State : std::uint8_t { Detached, Stopped, Resumed };

  explicit FakeDebugTarget(std::uint32_t threads = 2, vmm::gdb::XsaveLayout layout = {});

  // --- for tests ------------------------------------------------------------------------------------------
  /// Maps the pages of `bytes` and fills them.
  void map(std::uint64_t address, std::span<const std::byte> bytes);
  void map(std::uint64_t address, std::size_t bytes);
  void map_physical(std::uint64_t address, std::size_t bytes);
  [[nodiscard]] std::string bytes_at(std::uint64_t address, std::size_t count) const;
  [[nodiscard]] vmm::gdb::RegisterFile& registers(std::uint32_t tid) { return registers_[tid - 1]; }
  /// Delivers `event` if the machine runs.
  void stop(const vmm::gdb::StopEvent& event);
  [[nodiscard]] State state() const;
  [[nodiscard]] std::set<vmm::gdb::Breakpoint> breakpoints() const;
  [[nodiscard]] std::vector<vmm::gdb::ThreadAction> last_actions() const;
  /// One word a call, in order: "attach", "resume", "interrupt", "detach", "detach stopped", "kill".
  [[nodiscard]] std::vector<std::string> calls() const;
  /// The next attach(), resume() … fail with this.
  void fail_next(uvm::Error error);
  void set_kernel_text(std::uint64_t address) { kernel_text_ = address; }
  [[nodiscard]] vmm::gdb::StepFlags flags() const;
  /// Of registers: write_registers() says yes and does nothing.
  void ignore_writes() { ignores_writes_ = true; }

  // --- vmm::gdb::Target -----------------------------------------------------------------------------------
  uvm::Result<vmm::gdb::StopEvent> attach(vmm::gdb::StopListener& listener) override;
  void detach(vmm::gdb::AfterDetach after) override;
  void kill() override;
  uvm::Status resume(std::span<const vmm::gdb::ThreadAction> actions) override;
  void interrupt() override;
  void set_step_flags(vmm::gdb::StepFlags flags) override;
  std::vector<vmm::gdb::ThreadInfo> threads() override;
  std::string thread_state(vmm::gdb::ThreadId thread) override;
  vmm::gdb::XsaveLayout xsave_layout() override { return layout_; }
  uvm::Status read_registers(vmm::gdb::ThreadId thread, vmm::gdb::RegisterGroups groups,
                             vmm::gdb::RegisterFile& file) override;
  uvm::Status write_registers(vmm::gdb::ThreadId thread, vmm::gdb::RegisterGroups groups,
                              const vmm::gdb::RegisterFile& file) override;
  uvm::Result<std::size_t> read_memory(vmm::gdb::AddressSpace space, std::uint64_t address,
                                       std::span<std::byte> to) override;
  uvm::Status write_memory(vmm::gdb::AddressSpace space, std::uint64_t address,
                           std::span<const std::byte> from) override;
  uvm::Result<vmm::gdb::MemoryRegion> memory_region(vmm::gdb::AddressSpace space,
                                                    std::uint64_t address) override;
  uvm::Status insert_breakpoint(vmm::gdb::AddressSpace space,
                                const vmm::gdb::Breakpoint& breakpoint) override;
  uvm::Status remove_breakpoint(vmm::gdb::AddressSpace space,
                                const vmm::gdb::Breakpoint& breakpoint) override;
  /// "echo TEXT", "flood N" (N lines), "fail".
  uvm::Status monitor(vmm::gdb::ThreadId thread, std::string_view line,
                      const vmm::gdb::TextSink& out) override;
  std::optional<std::uint64_t> kernel_text() override { return kernel_text_; }

 private:
  using Pages = std::map<std::uint64_t, std::vector<std::byte>>;

  [[nodiscard]] Pages& pages(vmm::gdb::AddressSpace space) {
    return space.kind == vmm::gdb::AddressSpace::Kind::Virtual ? virtual_ : physical_;
  }
  [[nodiscard]] std::optional<uvm::Error> take_failure() REQUIRES(mutex_);
  /// What the resumed vCPUs come to without anybody's help.
  std::optional<vmm::gdb::StopEvent> run_ahead() REQUIRES(mutex_);
  void note(std::string call) REQUIRES(mutex_) { calls_.push_back(std::move(call)); }

  const vmm::gdb::XsaveLayout layout_;
  // The server's thread, and tests while nothing is connected.
  std::vector<vmm::gdb::RegisterFile> registers_;
  Pages virtual_;
  Pages physical_;
  std::optional<std::uint64_t> kernel_text_;
  bool ignores_writes_ = false;

  mutable uvm::Mutex mutex_{uvm::LockRank::Leaf};
  State state_ GUARDED_BY(mutex_) = State::Detached;
  vmm::gdb::StopListener* listener_ GUARDED_BY(mutex_) = nullptr;
  std::set<vmm::gdb::Breakpoint> breakpoints_ GUARDED_BY(mutex_);
  std::vector<vmm::gdb::ThreadAction> actions_ GUARDED_BY(mutex_);
  std::vector<std::string> calls_ GUARDED_BY(mutex_);
  std::optional<uvm::Error> failure_ GUARDED_BY(mutex_);
  vmm::gdb::StepFlags flags_ GUARDED_BY(mutex_) = vmm::gdb::StepFlags::Default;
};

}  // namespace test

// One machine as a debugger sees it: run control, memory through page tables, breakpoints.
//
// Everything a debugger of one VM needs stands here; who talks to the debugger (vmm/gdb) and which machines
// there are stands elsewhere, so that clones become inferiors of their own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/space.h"
#include "vmm/debug/guest_bytes.h"
#include "vmm/debug/hardware_breakpoints.h"
#include "vmm/debug/overlay.h"
#include "vmm/debug/run_control.h"
#include "vmm/debug/translator.h"
#include "vmm/gdb/target.h"

namespace vmm::debug {

/// Whose addresses are meant: a vCPU's linear ones, or physical ones.
struct Place {
  std::optional<std::size_t> vcpu;  // nothing: physical
  std::uint64_t address = 0;
};

/// Thread: the debugger's, with the machine stopped, unless a method says otherwise.
class Inferior : public TrapFinder, public LinearMemory {
 public:
  using Sink = RunControl::Sink;

  /// `space` and `machine` outlive it. set_group() before anything runs.
  Inferior(uvm::Space& space, ExitHandler& machine);
  void set_group(VcpuGroup& group);
  /// What the vCPU threads call.
  [[nodiscard]] RunControl& run() { return run_; }

  /// What of the machine around it the monitor has verbs for. Empty functions: nothing.
  struct Door {
    std::function<uvm::Status(const std::string& name)> checkpoint;
    std::function<uvm::Status(const std::string& name)> reset;
    std::function<uvm::Result<std::string>()> fork;         // starts a copy; what to tell of it, lines
    std::function<uvm::Result<std::string>()> shares = {};  // what the guest's memory costs, lines
  };
  void set_door(Door door) { door_ = std::move(door); }
  [[nodiscard]] const Door& door() const { return door_; }

  /// Any state → stopped. `sink` is told each stop from then on, after this object has looked at it. Errors:
  /// as RunControl::halt(); those of the probe the first time.
  [[nodiscard]] uvm::Status attach(Sink sink);
  /// Stopped or running → free, without a trace in guest memory.
  void detach(gdb::AfterDetach after);
  /// Plants, and lets vCPUs go as planned (one plan a vCPU). Errors: those of planting, of
  /// RunControl::resume(); nothing runs then.
  [[nodiscard]] uvm::Status resume(std::span<const VcpuPlan> plans);

  /// Whole pages until one can't be read; never 0 bytes without an error. The guest's bytes, not the traps.
  [[nodiscard]] uvm::Result<std::size_t> read(Place place, std::span<std::byte> to);
  /// All places are found before the first byte is written.
  [[nodiscard]] uvm::Status write(Place place, std::span<const std::byte> from);
  [[nodiscard]] uvm::Result<Translation> translate(Place place);
  /// Physical memory for walks of one's own; good while this object lives.
  [[nodiscard]] ReadPhysical table_reader() { return translator_.reader(); }

  [[nodiscard]] uvm::Status insert_software(Place place);
  void remove_software(Place place);
  [[nodiscard]] uvm::Status insert_hardware(const HardwareRequest& request);
  void remove_hardware(const HardwareRequest& request) { hardware_.remove(request); }

  [[nodiscard]] std::size_t vcpus() const { return group_->size(); }
  [[nodiscard]] kvm::Vcpu& vcpu(std::size_t index) { return group_->vcpu(index); }
  /// Of the moment of the stop; remembered until registers are written or the guest runs.
  [[nodiscard]] uvm::Result<kvm_sregs> sregs(std::size_t index);
  [[nodiscard]] uvm::Result<PagingState> paging(std::size_t index);
  /// Registers have been written: what was remembered does not count.
  void registers_changed();

  [[nodiscard]] uvm::Space& space() { return space_; }
  [[nodiscard]] Translator& translator() { return translator_; }
  [[nodiscard]] GuestBytes& memory() { return memory_; }
  [[nodiscard]] const Overlay& overlay() const { return overlay_; }
  /// For who copies memory whole (a fork, a snapshot, a checkpoint) and keeps the vCPUs paused meanwhile:
  /// while the result lives there is no trap in memory. Any thread.
  [[nodiscard]] uvm::Result<Overlay::Suspension> suspend_traps() { return overlay_.suspend(); }
  [[nodiscard]] const kvm::DebugSupport& support() const { return support_; }

  [[nodiscard]] bool is_planted(kvm::Vcpu& vcpu, std::uint64_t linear) override;
  [[nodiscard]] bool may_be_planted(std::uint64_t linear) const override {
    return overlay_.may_be_planted(linear);
  }
  [[nodiscard]] std::size_t read_linear(const PagingState& state, std::uint64_t linear,
                                        std::span<std::byte> to) override;
  [[nodiscard]] bool write_linear(const PagingState& state, std::uint64_t linear,
                                  std::span<const std::byte> from) override;

 private:
  /// Takes in what has happened while the guest ran; what to tell the user about it.
  std::string settle();
  /// Plants what is wanted; what can't be written moves to a debug register.
  [[nodiscard]] uvm::Status plant();
  [[nodiscard]] uvm::Status promote(std::uint64_t linear, const uvm::Error& why);
  [[nodiscard]] bool spares_pinned(const Translation& place) const;

  uvm::Space& space_;
  GuestBytes memory_;
  Translator translator_;
  Overlay overlay_;
  HardwareBreakpoints hardware_;
  std::map<std::uint64_t, HardwareRequest> promoted_;  // software breakpoints that live in a debug register
  RunControl run_;
  VcpuGroup* group_ = nullptr;
  Door door_;
  std::vector<std::optional<kvm_sregs>> sregs_;
  std::optional<kvm::DebugSupport> probed_;
  kvm::DebugSupport support_;
  std::set<std::uint64_t> told_;  // places whose overwriting the user has been told of
};

/// What a fault of the debugger's own probe can't hide: the state of a vCPU that walk() needs.
[[nodiscard]] PagingState paging_of(const kvm_sregs& sregs);

}  // namespace vmm::debug

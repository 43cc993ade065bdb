// What a debugger's session asks of a machine. The machine answers it with its vCPUs, tests with a fake.
//
// All-stop. A target is in one of three states, and each method says in which it may be called:
//   Detached   no debugger; the machine runs (or waits, started with -S) on its own.
//   Stopped    from attach(), and from each StopEvent on: no vCPU executes guest code; registers and memory
//              may be touched.
//   Resumed    from resume() until its StopEvent. Only interrupt(), detach() and kill() may be called.
//
// Threads. Every method is called on the gdb server's thread, one at a time, with no lock held, so a method
// may wait for vCPUs (bounded: seconds, then an Error) but must never wait for the server. It may be called
// while vCPUs run (attach, interrupt), while the machine's I/O thread is at work, and after the machine has
// ended (then Errors, or nothing to do). The one call in the other direction is StopListener::stopped().
//
// Errors go to a person: Error::text() is what `E.` replies carry, so it names the address and the cause
// ("0xffff888000005000 is not mapped: the page directory entry is empty"). Kinds become errno numbers for
// debuggers that take no text: NoMapping, NoBacking → EFAULT; Protection, Permission → EACCES; Invalid →
// EINVAL; NoMemory → ENOMEM; Busy, Pinned → EBUSY; Unsupported → EOPNOTSUPP; NotFound → ENOENT; others → EIO.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/gdb/register_file.h"
#include "vmm/kvm/fd.h"

namespace vmm::gdb {

/// A vCPU in the protocol's words. `pid` is the machine's number (1; of a copy that a debugger has followed
/// the process's number in the system, so that no two are alike), `tid` the vCPU's index + 1. Both are at
/// least 1: 0 and -1 have meanings of their own in packets.
struct ThreadId {
  std::uint32_t pid = 1;
  std::uint32_t tid = 1;
  friend auto operator<=>(const ThreadId&, const ThreadId&) = default;
};

struct ThreadInfo {
  ThreadId id;
  std::string name;  // "vcpu0"
};

/// Whose addresses are meant: linear ones as `thread` translates them now, or guest-physical ones.
struct AddressSpace {
  enum class Kind : std::uint8_t { Virtual, Physical };
  Kind kind = Kind::Virtual;
  ThreadId thread;  // Virtual only
};

/// Z0–Z4 by number. Read watchpoints (Z3) are answered by the session: x86 has none.
enum class BreakpointKind : std::uint8_t {
  Software = 0,
  Hardware = 1,
  WriteWatch = 2,
  ReadWatch = 3,
  AccessWatch = 4,
};

struct Breakpoint {
  BreakpointKind kind = BreakpointKind::Software;
  std::uint64_t address = 0;
  std::uint64_t length = 1;  // bytes watched (anything a client may send); for Software and Hardware gdb's 1
  friend auto operator<=>(const Breakpoint&, const Breakpoint&) = default;
};

/// What one vCPU does from resume() on. Threads that are not named stay stopped until the stop.
struct ThreadAction {
  enum class Kind : std::uint8_t {
    Continue,
    Step,       // one instruction, then a stop with StopReason::Step
    RangeStep,  // steps while rip is in [begin, end), at least one; stops with Step at the first rip outside
  };
  ThreadId thread;
  Kind kind = Kind::Continue;
  std::uint64_t begin = 0;  // RangeStep only: linear addresses
  std::uint64_t end = 0;
};

enum class StopReason : std::uint8_t {
  Interrupted,         // interrupt(): SIGINT
  Step,                // Step or RangeStep done: SIGTRAP
  SoftwareBreakpoint,  // one of ours: rip is the breakpoint's address. SIGTRAP, swbreak
  HardwareBreakpoint,  // rip is the breakpoint's address. SIGTRAP, hwbreak
  WriteWatch,          // `address` was written; rip is behind the instruction. SIGTRAP, watch
  AccessWatch,         // SIGTRAP, awatch
  Signal,              // anything else: `signal` in gdb's numbering (4 SIGILL, 5 SIGTRAP, 11 SIGSEGV)
  Forked,  // the machine goes on as before; `child` is the first thread of its copy. SIGTRAP, fork
  Exited,  // the machine has ended: `status`. The target stays usable as an empty shell
};

/// Why everything has stopped. `thread` was among the resumed ones (also for Interrupted).
struct StopEvent {
  StopReason reason = StopReason::Interrupted;
  ThreadId thread;
  std::uint8_t signal = 5;    // Signal only
  std::uint64_t address = 0;  // WriteWatch, AccessWatch: the first byte of the watched range that was hit
  int status = 0;             // Exited only: what `uvmm run` will end with
  ThreadId child;             // Forked only; the session makes these events, not the target
  std::string note;           // shown once on the debugger's console when not empty ("breakpoint re-planted")
};

class StopListener {
 public:
  virtual ~StopListener() = default;
  /// Exactly once for each successful resume(), unless detach() comes first, when every vCPU has stopped.
  /// Any thread, without locks. Only hands the event over and returns at once; the session's answer
  /// comes later on the server's thread. Exited may come in any state, once, also without a resume().
  virtual void stopped(const StopEvent& event) = 0;
  /// There is a copy of the machine, and whoever speaks the protocol at `door` is its debugger; the copy is
  /// stopped until then. Any thread; returns at once. False: the debugger here does not care for copies, and
  /// `door` is closed. Then, and whenever it is closed, the copy runs.
  [[nodiscard]] virtual bool forked(Fd door) {
    door.reset();
    return false;
  }
};

/// Where a Linux kernel's `_text` is linked to: CONFIG_PHYSICAL_START of 16 MiB above __START_KERNEL_map.
inline constexpr std::uint64_t kLinkedKernelText = 0xffff'ffff'8100'0000;

/// A stretch of linear address space with the same answer of the page walk; for lldb's `memory region`.
struct MemoryRegion {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;  // exclusive; 0: up to the end of the address space
  bool mapped = false;
  bool writable = false;
  bool executable = false;
};

/// qemu.sstep's bits, as QEMU numbers them.
enum class StepFlags : std::uint8_t { None = 0, Enable = 1, NoInterrupts = 2, NoTimers = 4, Default = 7 };

enum class AfterDetach : std::uint8_t { Run, StayStopped };

/// Text of a monitor command, as it comes; whole or partial lines.
using TextSink = std::function<void(std::string_view)>;

class Target {
 public:
  virtual ~Target() = default;

  // --- a debugger comes and goes --------------------------------------------------------------------------

  /// Detached → Stopped. Stops every vCPU, whatever it is doing (HLT, waiting for SIPI, in a device), also of
  /// a machine started with -S. `listener` stays valid until detach(). The answer to `?` is the event that is
  /// returned: Signal 5 of the first vCPU, unless the target knows better.
  [[nodiscard]] virtual uvm::Result<StopEvent> attach(StopListener& listener) = 0;
  /// Stopped or Resumed → Detached. Removes every breakpoint, undoes what set_step_flags and the like left,
  /// and lets the vCPUs run or not. On return the listener is not called any more and nobody is inside it.
  /// Harmless when Detached.
  virtual void detach(AfterDetach after) = 0;
  /// Ends the machine, as leaving its console does. Returns at once; detach() still follows.
  virtual void kill() = 0;

  // --- run control ----------------------------------------------------------------------------------------

  /// Stopped → Resumed. `actions` names each thread at most once and at least one. An Error leaves all
  /// stopped ("this host cannot single-step user code"): the text reaches the user in place of a stop.
  [[nodiscard]] virtual uvm::Status resume(std::span<const ThreadAction> actions) = 0;
  /// Resumed: asks for a stop soon; does not wait. The event is Interrupted unless something else came first.
  /// Harmless when Stopped.
  virtual void interrupt() = 0;
  /// Any state but Detached; for steps from now on. Starts at Default with each attach().
  virtual void set_step_flags(StepFlags flags) = 0;

  // --- looking and changing, Stopped only -----------------------------------------------------------------

  /// The process that all threads are of. The same for the target's whole life. Any state.
  [[nodiscard]] virtual std::uint32_t pid() const { return ThreadId{}.pid; }
  /// At least one; sorted; constant while attached but for hot plug.
  [[nodiscard]] virtual std::vector<ThreadInfo> threads() = 0;
  /// One short line for `info threads`: "halted, CPL 0", "waiting for SIPI". Costs system calls, where
  /// threads() does not: that one is asked with every other packet.
  [[nodiscard]] virtual std::string thread_state(ThreadId thread) = 0;
  /// The same for the whole attachment; it decides what target.xml lists. Any state.
  [[nodiscard]] virtual XsaveLayout xsave_layout() = 0;
  /// Fills `groups` of `file`, leaves the rest alone. Errors: NotFound for a thread that is not there.
  [[nodiscard]] virtual uvm::Status read_registers(ThreadId thread, RegisterGroups groups,
                                                   RegisterFile& file) = 0;
  /// Writes `groups` of `file`; what the processor would refuse (reserved bits of cr4) is an Error, and
  /// nothing has changed then.
  [[nodiscard]] virtual uvm::Status write_registers(ThreadId thread, RegisterGroups groups,
                                                    const RegisterFile& file) = 0;
  /// Copies guest bytes to `to` and says how many: fewer than asked for when a later byte can't be read (a
  /// hole, a device), never 0 of a non-empty request: that is the Error, which names the level of the walk.
  /// Breakpoints don't show. An `address + size` beyond 2^64 is cut at the top. `to` may be megabytes.
  [[nodiscard]] virtual uvm::Result<std::size_t> read_memory(AddressSpace space, std::uint64_t address,
                                                             std::span<std::byte> to) = 0;
  /// All or, as far as can be known before the first byte, nothing. Never changes what others share with this
  /// guest. Bytes under a breakpoint change the original, not the trap.
  [[nodiscard]] virtual uvm::Status write_memory(AddressSpace space, std::uint64_t address,
                                                 std::span<const std::byte> from) = 0;
  /// The stretch around `address`; a hole is a region with mapped == false.
  [[nodiscard]] virtual uvm::Result<MemoryRegion> memory_region(AddressSpace space,
                                                                std::uint64_t address) = 0;

  /// Inserting one that is there already, and removing one that isn't, succeed and change nothing.
  /// Unsupported with a reason for what this host's KVM can't do (never ok() for one that would not fire).
  /// Physical spaces are allowed for Software only.
  [[nodiscard]] virtual uvm::Status insert_breakpoint(AddressSpace space, const Breakpoint& breakpoint) = 0;
  [[nodiscard]] virtual uvm::Status remove_breakpoint(AddressSpace space, const Breakpoint& breakpoint) = 0;

  /// Runs one command of `monitor` and gives its output to `out`, before it returns. An Error is shown as its
  /// text. Any state but Detached, as the command allows.
  [[nodiscard]] virtual uvm::Status monitor(ThreadId thread, std::string_view line, const TextSink& out) = 0;
  /// Where the running kernel's `_text` lies (linear), for symbols moved by KASLR; nothing while unknown.
  [[nodiscard]] virtual std::optional<std::uint64_t> kernel_text() = 0;
};

}  // namespace vmm::gdb

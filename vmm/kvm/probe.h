// What this host can do for uvmm, found out by trying.
//
// Flags and capabilities are claims; some hosts claim more than they keep (guest debug on PVM always succeeds
// and does nothing, KVM_CAP_MEMORY_FAULT_INFO is 1 where no fault is ever reported). So whatever can be tried
// is tried, in throw-away VMs and mappings, within a tenth of a second.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "uvm/base/error.h"

namespace vmm::kvm {

/// What runs the guest's code.
enum class Backend {
  None,     // no usable KVM
  Vmx,      // Intel, nested paging
  Svm,      // AMD, nested paging
  Pvm,      // software: CPL3 natively, CPL0 and real mode emulated
  Unknown,  // KVM works, but by nothing we know
};
[[nodiscard]] std::string_view to_string(Backend backend);

enum class Verdict {
  Yes,       // works, uvmm uses it
  Degraded,  // missing or partial; uvmm does the same by a slower or narrower way
  No,        // missing, and what depends on it is refused
};

struct Finding {
  std::string area;  // "kvm", "debug", "memory" …
  std::string name;
  std::string value;  // what was found
  Verdict verdict;
  std::string consequence;  // what uvmm does about it
};

/// Guest debug facilities that really produce an exit, at CPL0 and at CPL3 in long mode.
struct DebugFacilities {
  bool software_breakpoint = false;
  /// INT3 comes back as InternalErrorExit with 0xcc in its bytes: as good, if the byte is ours.
  bool breakpoint_as_error = false;
  /// OUT DX,AL comes back as IoExit: a trap byte where INT3 does not work. Never at CPL 3, whose I/O is the
  /// guest kernel's to allow.
  bool out_as_exit = false;
  bool hardware_breakpoint = false;
  bool watchpoint = false;
  bool single_step = false;
};

/// The same for both rings.
struct DebugSupport {
  DebugFacilities supervisor;  // CPL 0
  DebugFacilities user;        // CPL 3
};

struct Report {
  Backend backend = Backend::None;
  /// Code at CPL0 runs on the processor: a stock kernel works and is fast.
  bool native_supervisor = false;
  /// How the trial of that ended, for messages.
  std::string supervisor_trial;
  DebugFacilities debug_supervisor;  // CPL0
  DebugFacilities debug_user;        // CPL3
  std::vector<Finding> findings;
};

struct BootVerdict {
  bool possible;
  std::string reason;  // one line, for both answers
};

/// Runs every probe. Never fails: what can't be tried is a Finding that says so. 15–150 ms, more where KVM
/// itself is nested in an emulator. Any thread.
[[nodiscard]] Report probe_host();
/// Only the guest debug facilities, for a debugger that attaches. 2–20 ms. Errors: those of opening KVM and
/// making a VM.
[[nodiscard]] uvm::Result<DebugSupport> probe_debug_support();
/// Only what is needed to tell whether an unmodified kernel can run. 2–10 ms.
[[nodiscard]] BootVerdict can_boot_linux();
[[nodiscard]] BootVerdict can_boot_linux(const Report& report);

/// An aligned table, grouped by area, for `uvmm doctor`; ends with a newline.
[[nodiscard]] std::string format(const Report& report);

}  // namespace vmm::kvm

#include "vmm/kvm/probe.h"

#include <filesystem>
#include <fstream>

#include "vmm/kvm/probe_parts.h"

namespace vmm::kvm {

namespace {

bool cpu_has(std::string_view flag) {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (!line.starts_with("flags")) continue;
    line += ' ';
    return line.find(" " + std::string(flag) + " ") != std::string::npos;
  }
  return false;
}

bool module_present(const char* name) {
  std::error_code ignored;
  return std::filesystem::exists(std::string("/sys/module/") + name, ignored);
}

/// More than one vendor module may be present, but only one can serve /dev/kvm. PVM emulates CPL 0, so a
/// guest whose CPL 0 code runs on the processor is not on PVM.
Backend backend_of(bool native_supervisor) {
  if (!native_supervisor && module_present("kvm_pvm")) return Backend::Pvm;
  if (cpu_has("vmx") && module_present("kvm_intel")) return Backend::Vmx;
  if (cpu_has("svm") && module_present("kvm_amd")) return Backend::Svm;
  return Backend::Unknown;
}

}  // namespace

std::string_view to_string(Backend backend) {
  switch (backend) {
    case Backend::None:
      return "none";
    case Backend::Vmx:
      return "VMX";
    case Backend::Svm:
      return "SVM";
    case Backend::Pvm:
      return "PVM";
    case Backend::Unknown:
      return "unknown";
  }
  return "unknown";
}

BootVerdict can_boot_linux(const Report& report) {
  if (report.backend == Backend::None) {
    for (const Finding& finding : report.findings) {
      if (finding.area == "kvm" && finding.verdict == Verdict::No) return {false, finding.value};
    }
    return {false, "no usable KVM"};
  }
  const std::string name(to_string(report.backend));
  if (!report.native_supervisor) {
    return {false, "this host's KVM (" + name +
                       ") can't run kernel mode on the processor: " + report.supervisor_trial};
  }
  return {true, "kernel code runs on the processor (" + name + ")"};
}

BootVerdict can_boot_linux() {
  Report report;
  probe_kvm(report, Depth::BootOnly);
  if (report.backend != Backend::None) report.backend = backend_of(report.native_supervisor);
  return can_boot_linux(report);
}

Report probe_host() {
  Report report;
  probe_kvm(report, Depth::Full);
  if (report.backend != Backend::None) {
    report.backend = backend_of(report.native_supervisor);
    const BootVerdict verdict = can_boot_linux(report);
    report.findings.insert(report.findings.begin(), {"kvm", "backend", std::string(to_string(report.backend)),
                                                     Verdict::Yes, "chosen by the kernel"});
    report.findings.insert(report.findings.begin() + 1,
                           {"kvm", "unmodified Linux", verdict.possible ? "boots" : "does not boot",
                            verdict.possible ? Verdict::Yes : Verdict::No, verdict.reason});
  }
  probe_host_memory(report);
  return report;
}

}  // namespace vmm::kvm

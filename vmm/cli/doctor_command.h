// `uvmm doctor`: what this host can do, found out by trying, and what uvmm makes of it.
#pragma once

#include <string>

#include "vmm/cli/options.h"
#include "vmm/kvm/probe.h"

namespace vmm::cli {

/// `--can-boot-linux` says no with this status.
inline constexpr int kCannotBootLinux = 3;

/// Probes (up to 0.2 s) and prints. Returns the exit status: 0; NoHost without a usable KVM; with
/// CanBootLinux 0 or kCannotBootLinux.
[[nodiscard]] int doctor_command(DoctorOutput output);

/// The report for programs: one JSON object, with a newline at its end.
[[nodiscard]] std::string report_json(const kvm::Report& report);

}  // namespace vmm::cli

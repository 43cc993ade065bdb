// Machines for tests that need this host's /dev/kvm.
#pragma once

#include <string>

#include "vmm/machine/config.h"
#include "vmm/machine/machine.h"

namespace test {

/// Why no machine can be made here; empty when one can.
[[nodiscard]] std::string kvm_unusable();

/// A built-in guest without console; 64 MiB, one vCPU.
[[nodiscard]] vmm::MachineConfig builtin_config(const std::string& name, const std::string& arguments = "");

/// Creates and runs. A machine that cannot be made or run is a test failure and comes back as status -1.
[[nodiscard]] vmm::RunReport run_machine(const vmm::MachineConfig& config);

}  // namespace test

/// Skips the test, with the reason, where KVM is missing.
#define UVMM_REQUIRE_KVM() \
  if (const std::string reason = test::kvm_unusable(); !reason.empty()) GTEST_SKIP() << reason

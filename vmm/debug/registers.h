// A vCPU's registers in a debugger's words.
#pragma once

#include "uvm/base/error.h"
#include "vmm/gdb/register_file.h"
#include "vmm/kvm/vcpu.h"

namespace vmm::debug {

/// Fills `groups` of `file`. The vCPU is parked. Errors: those of the ioctls.
[[nodiscard]] uvm::Status read_registers(kvm::Vcpu& vcpu, gdb::RegisterGroups groups,
                                         gdb::RegisterFile& file);
/// Writes `groups`, the ones KVM may refuse first, and puts those back when a later one fails. A selector
/// can't be changed without what it stands for (in real mode it has only its base): Unsupported. So is a
/// counter that KVM goes on with as if it had not been told.
[[nodiscard]] uvm::Status write_registers(kvm::Vcpu& vcpu, gdb::RegisterGroups groups,
                                          const gdb::RegisterFile& file);
/// From the vCPU's CPUID.
[[nodiscard]] uvm::Result<gdb::XsaveLayout> xsave_layout(const kvm::Vcpu& vcpu);

}  // namespace vmm::debug

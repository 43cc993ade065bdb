// The processor a guest is shown: what KVM supports here, with each vCPU's identity and topology written in.
#pragma once

#include <cstdint>
#include <vector>

#include "vmm/kvm/abi.h"

namespace vmm {

struct CpuidRequest {
  std::uint32_t vcpu = 0;     // also the APIC id
  std::uint32_t vcpus = 1;    // all of them, as one package of one-thread cores
  bool tsc_deadline = false;  // the local APIC's deadline timer works (KVM_CAP_TSC_DEADLINE_TIMER)
};

/// `supported` comes from KVM_GET_SUPPORTED_CPUID and carries the host's own APIC ids and topology, which a
/// guest must not see: leaves 1, 4, 0xb, 0x1f, 0x80000008, 0x8000001d and 0x8000001e are rewritten for the
/// request. Leaf 0xd loses the state of features that are not there. Performance counters are hidden: uvmm
/// does not save or restore them. So are KVM's asynchronous page faults: Linux enables them on its boot
/// processor before it enables the local APIC, and KVM delivers no "page is here" in between, so a vCPU whose
/// page was on its way to memory at that moment would fault on it for ever.
[[nodiscard]] std::vector<kvm_cpuid_entry2> guest_cpuid(std::vector<kvm_cpuid_entry2> supported,
                                                        const CpuidRequest& request);

/// Guest-physical address width in bits that the leaves promise (0x80000008 EAX, 36 when absent).
[[nodiscard]] std::uint32_t physical_address_bits(const std::vector<kvm_cpuid_entry2>& supported);

}  // namespace vmm

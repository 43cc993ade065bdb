// What uvmm says to the kernel about KVM, where the system header can't be used.
//
// Two reasons to define things ourselves. First, flexible arrays: linux/stddef.h declares them through an
// empty struct, which takes no room in C but one byte in C++, so sizeof(kvm_cpuid2) is 12 instead of 8 here.
// ioctl numbers contain that size, hence KVM_SET_CPUID2 and its like are simply wrong numbers in a C++
// program, and the entries start at the wrong offset. Second, age: Debian 12 ships the header of Linux 6.1,
// uvmm uses what later kernels offer when a probe finds it. Everything else comes from <linux/kvm.h>
// unchanged.
#pragma once

#include <linux/kvm.h>

#include <cstddef>
#include <cstdint>

namespace vmm::kvm::abi {

/// The fixed part of kvm_cpuid2; `count` kvm_cpuid_entry2 follow at once.
struct CpuidHeader {
  std::uint32_t count;
  std::uint32_t padding;
};
/// The fixed part of kvm_msrs; `count` kvm_msr_entry follow at once.
struct MsrsHeader {
  std::uint32_t count;
  std::uint32_t padding;
};
/// The fixed part of kvm_msr_list; `count` 32-bit indices follow at once.
struct MsrListHeader {
  std::uint32_t count;
};
/// kvm_signal_mask with the one length the kernel accepts on x86-64.
struct SignalMask {
  std::uint32_t bytes;  // 8
  std::uint8_t set[8];  // signal n is bit n - 1
};
/// The fixed part of kvm_irq_routing; `count` kvm_irq_routing_entry follow at once.
struct RoutingHeader {
  std::uint32_t count;
  std::uint32_t flags;
};

/// The part of kvm_xsave that is always there; KVM_CAP_XSAVE2 says how many bytes there are in all.
struct Xsave {
  std::uint32_t region[1024];
};

static_assert(sizeof(CpuidHeader) == 8 && sizeof(kvm_cpuid_entry2) == 40 && alignof(kvm_cpuid_entry2) == 4);
static_assert(sizeof(MsrsHeader) == 8 && sizeof(kvm_msr_entry) == 16);
static_assert(sizeof(MsrListHeader) == 4);
static_assert(sizeof(SignalMask) == 12 && offsetof(SignalMask, set) == 4);
static_assert(sizeof(Xsave) == 4096);
static_assert(sizeof(RoutingHeader) == 8 && sizeof(kvm_irq_routing_entry) == 48);

// The size in a number is that of the fixed part.
inline constexpr unsigned long kGetMsrIndexList = _IOWR(KVMIO, 0x02, std::uint32_t);
inline constexpr unsigned long kGetSupportedCpuid = _IOWR(KVMIO, 0x05, std::uint64_t);
inline constexpr unsigned long kGetMsrFeatureIndexList = _IOWR(KVMIO, 0x0a, std::uint32_t);
inline constexpr unsigned long kSetGsiRouting = _IOW(KVMIO, 0x6a, std::uint64_t);
inline constexpr unsigned long kGetMsrs = _IOWR(KVMIO, 0x88, std::uint64_t);
inline constexpr unsigned long kSetMsrs = _IOW(KVMIO, 0x89, std::uint64_t);
inline constexpr unsigned long kSetSignalMask = _IOW(KVMIO, 0x8b, std::uint32_t);
inline constexpr unsigned long kSetCpuid2 = _IOW(KVMIO, 0x90, std::uint64_t);
inline constexpr unsigned long kGetCpuid2 = _IOWR(KVMIO, 0x91, std::uint64_t);
inline constexpr unsigned long kGetXsave = _IOR(KVMIO, 0xa4, Xsave);
inline constexpr unsigned long kSetXsave = _IOW(KVMIO, 0xa5, Xsave);
inline constexpr unsigned long kGetXsave2 = _IOR(KVMIO, 0xcf, Xsave);
static_assert(kGetMsrIndexList == 0xc004ae02 && kGetSupportedCpuid == 0xc008ae05);
static_assert(kGetMsrFeatureIndexList == 0xc004ae0a && kSetGsiRouting == 0x4008ae6a);
static_assert(kGetMsrs == 0xc008ae88 && kSetMsrs == 0x4008ae89 && kSetSignalMask == 0x4004ae8b);
static_assert(kGetXsave == 0x9000aea4 && kSetXsave == 0x5000aea5 && kGetXsave2 == 0x9000aecf);
static_assert(kSetCpuid2 == 0x4008ae90 && kGetCpuid2 == 0xc008ae91);

// Newer than the header of Linux 6.1.
inline constexpr std::uint32_t kExitMemoryFault = 39;  // Linux 6.8
inline constexpr std::uint64_t kMemoryFaultFlagPrivate = 1U << 3;
inline constexpr int kCapUserMemory2 = 231;
inline constexpr int kCapMemoryFaultInfo = 232;
inline constexpr int kCapGuestMemfd = 234;
inline constexpr int kCapVmTypes = 235;
inline constexpr int kCapPreFaultMemory = 236;  // Linux 6.11
inline constexpr int kCapX86ApicBusCyclesNs = 237;

/// What KVM_EXIT_MEMORY_FAULT leaves in the run page's exit union.
struct MemoryFault {
  std::uint64_t flags;
  std::uint64_t gpa;   // bytes
  std::uint64_t size;  // bytes
};
/// KVM_PRE_FAULT_MEMORY: maps [gpa, gpa + size) into stage 2; the kernel advances both as it goes.
struct PreFaultMemory {
  std::uint64_t gpa;   // bytes
  std::uint64_t size;  // bytes
  std::uint64_t flags;
  std::uint64_t padding[5];
};
static_assert(sizeof(MemoryFault) == 24);
static_assert(sizeof(PreFaultMemory) == 64);
inline constexpr unsigned long kPreFaultMemory = _IOWR(KVMIO, 0xd5, PreFaultMemory);
static_assert(kPreFaultMemory == 0xc040aed5);

// Guards for what we do take from the header.
static_assert(sizeof(kvm_userspace_memory_region) == 32);
static_assert(sizeof(kvm_regs) == 144 && sizeof(kvm_sregs) == 312);
static_assert(offsetof(kvm_run, io) == 32 && offsetof(kvm_run, kvm_valid_regs) == 288);
static_assert(offsetof(kvm_run, s) == 304);
static_assert(KVM_RUN == 0xae80 && KVM_SET_USER_MEMORY_REGION == 0x4020ae46);

/// The only API version there has been since 2007; anything else is not the KVM this code was written for.
inline constexpr int kApiVersion = 12;

}  // namespace vmm::kvm::abi

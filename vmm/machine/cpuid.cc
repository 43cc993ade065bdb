#include "vmm/machine/cpuid.h"

#include <algorithm>
#include <array>
#include <bit>

namespace vmm {
namespace {

constexpr std::uint32_t kEcxMonitor = 1U << 3;
constexpr std::uint32_t kEcxTscDeadline = 1U << 24;
constexpr std::uint32_t kEcxHypervisor = 1U << 31;
constexpr std::uint32_t kEdxHyperThreading = 1U << 28;
constexpr std::uint32_t kKvmAsyncPageFaults = 1U << 4 | 1U << 10 | 1U << 14;  // ASYNC_PF, _VMEXIT, _INT
constexpr std::uint32_t kExtendedEcxPerf = 0x3U << 23;                        // PERFCTR_CORE, PERFCTR_NB

/// Bits an APIC id needs for `count` processors.
std::uint32_t id_bits(std::uint32_t count) {
  return static_cast<std::uint32_t>(std::bit_width(count - 1));
}

void feature_leaf(kvm_cpuid_entry2& leaf, const CpuidRequest& request) {
  const std::uint32_t ids = std::bit_ceil(request.vcpus);
  leaf.ebx = (leaf.ebx & 0x0000'ffffU) | (request.vcpu << 24) | (ids << 16);
  leaf.ecx = (leaf.ecx & ~(kEcxMonitor | kEcxTscDeadline)) | kEcxHypervisor;
  if (request.tsc_deadline) leaf.ecx |= kEcxTscDeadline;
  leaf.edx &= ~kEdxHyperThreading;
  if (request.vcpus > 1) leaf.edx |= kEdxHyperThreading;
}

/// Leaf 4 and its AMD twin 0x8000001d: who shares a cache. Levels 1 and 2 are a core's own, level 3 is the
/// package's.
void cache_leaf(kvm_cpuid_entry2& leaf, const CpuidRequest& request) {
  const std::uint32_t level = (leaf.eax >> 5) & 7;
  const std::uint32_t sharing = level >= 3 ? request.vcpus : 1;
  leaf.eax = (leaf.eax & 0x0000'3fffU) | ((sharing - 1) << 14);
  if (leaf.function == 4) leaf.eax |= (std::bit_ceil(request.vcpus) - 1) << 26;
}

/// Leaves 0xb and 0x1f: one thread a core, all cores in one package.
void topology_leaf(kvm_cpuid_entry2& leaf, const CpuidRequest& request) {
  constexpr std::uint32_t kThreads = 1;
  constexpr std::uint32_t kCores = 2;
  leaf.eax = leaf.ebx = 0;
  leaf.ecx = leaf.index;
  leaf.edx = request.vcpu;
  if (leaf.index == 0) {
    leaf.ebx = 1;
    leaf.ecx |= kThreads << 8;
  } else if (leaf.index == 1) {
    leaf.eax = id_bits(request.vcpus);
    leaf.ebx = request.vcpus;
    leaf.ecx |= kCores << 8;
  }
}

void rewrite(kvm_cpuid_entry2& leaf, const CpuidRequest& request) {
  switch (leaf.function) {
    case 0x1:
      feature_leaf(leaf, request);
      break;
    case 0x4:
    case 0x8000'001d:
      cache_leaf(leaf, request);
      break;
    case 0xa:
      leaf.eax = leaf.ebx = leaf.ecx = leaf.edx = 0;
      break;  // no performance counters
    case 0xb:
    case 0x1f:
      topology_leaf(leaf, request);
      break;
    case 0x4000'0001:
      leaf.eax &= ~kKvmAsyncPageFaults;
      break;
    case 0x8000'0001:
      leaf.ecx &= ~kExtendedEcxPerf;
      break;
    case 0x8000'0008:
      leaf.ecx = (id_bits(request.vcpus) << 12) | (request.vcpus - 1);
      break;
    case 0x8000'001e:
      leaf.eax = request.vcpu;
      leaf.ebx = request.vcpu;  // core id, one thread a core
      leaf.ecx = 0;             // one node
      break;
    default:
      break;
  }
}

/// A component of the extended state that leaf 0xd may list only if the feature it belongs to is there.
struct XsaveComponents {
  std::uint64_t mask;  // XCR0 bits
  std::uint32_t function;
  std::uint32_t bit;
  bool in_ecx;  // else EBX
};
constexpr std::array<XsaveComponents, 4> kXsaveComponents = {{
    {1U << 2, 1, 28, true},   // AVX
    {3U << 3, 7, 14, false},  // MPX
    {7U << 5, 7, 16, false},  // AVX-512
    {1U << 9, 7, 3, true},    // PKRU
}};

bool has_feature(const std::vector<kvm_cpuid_entry2>& leaves, const XsaveComponents& components) {
  for (const auto& leaf : leaves) {
    if (leaf.function != components.function || leaf.index != 0) continue;
    return ((components.in_ecx ? leaf.ecx : leaf.ebx) >> components.bit & 1) != 0;
  }
  return false;
}

/// A guest sizes its save area by leaf 0xd and complains where that lists state of features it does not see.
void reconcile_xsave(std::vector<kvm_cpuid_entry2>& leaves) {
  std::uint64_t hidden = 0;
  for (const auto& components : kXsaveComponents) {
    if (!has_feature(leaves, components)) hidden |= components.mask;
  }
  std::uint32_t end = 576;  // legacy area and header
  for (auto& leaf : leaves) {
    if (leaf.function != 0xd || leaf.index < 2) continue;
    if (leaf.index < 64 && (hidden >> leaf.index & 1) != 0) {
      leaf.eax = leaf.ebx = leaf.ecx = leaf.edx = 0;
    } else if ((leaf.ecx & 1) == 0) {  // user state: it has a fixed place
      end = std::max(end, leaf.ebx + leaf.eax);
    }
  }
  for (auto& leaf : leaves) {
    if (leaf.function != 0xd || leaf.index != 0) continue;
    leaf.eax &= ~static_cast<std::uint32_t>(hidden);
    leaf.ecx = end;
    leaf.ebx = std::min(leaf.ebx, end);
  }
}

/// KVM lists leaf 0xb with the host's subleaves only, or not at all; a guest needs 0 (threads), 1 (cores), 2
/// (end).
void complete_topology(std::vector<kvm_cpuid_entry2>& leaves) {
  for (const std::uint32_t function : {0xbU, 0x1fU}) {
    const auto is_function = [function](const auto& leaf) { return leaf.function == function; };
    if (std::none_of(leaves.begin(), leaves.end(), is_function)) continue;
    std::erase_if(leaves, is_function);
    for (std::uint32_t index = 0; index < 3; ++index) {
      kvm_cpuid_entry2 leaf{};
      leaf.function = function;
      leaf.index = index;
      leaf.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
      leaves.push_back(leaf);
    }
  }
}

}  // namespace

std::vector<kvm_cpuid_entry2> guest_cpuid(std::vector<kvm_cpuid_entry2> supported,
                                          const CpuidRequest& request) {
  complete_topology(supported);
  reconcile_xsave(supported);
  for (auto& leaf : supported) rewrite(leaf, request);
  return supported;
}

std::uint32_t physical_address_bits(const std::vector<kvm_cpuid_entry2>& supported) {
  for (const auto& leaf : supported) {
    if (leaf.function == 0x8000'0008) return leaf.eax & 0xff;
  }
  return 36;
}

}  // namespace vmm

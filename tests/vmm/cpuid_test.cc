#include "vmm/machine/cpuid.h"

#include <gtest/gtest.h>

#include <optional>

namespace vmm {
namespace cpuid_test {

kvm_cpuid_entry2 leaf(std::uint32_t function, std::uint32_t index, std::uint32_t eax, std::uint32_t ebx,
                      std::uint32_t ecx, std::uint32_t edx) {
  kvm_cpuid_entry2 entry{};
  entry.function = function;
  entry.index = index;
  entry.eax = eax;
  entry.ebx = ebx;
  entry.ecx = ecx;
  entry.edx = edx;
  return entry;
}

std::optional<kvm_cpuid_entry2> find(const std::vector<kvm_cpuid_entry2>& leaves, std::uint32_t function,
                                     std::uint32_t index = 0) {
  for (const auto& entry : leaves) {
    if (entry.function == function && entry.index == index) return entry;
  }
  return std::nullopt;
}

TEST(Cpuid, EachVcpuHasItsOwnApicIdEverywhere) {
  const std::vector<kvm_cpuid_entry2> host = {leaf(0x1, 0, 0, 0x0700'0800, 0, 0),
                                              leaf(0xb, 0, 1, 2, 0x100, 7), leaf(0x8000'001e, 0, 7, 7, 7, 0)};
  for (std::uint32_t vcpu = 0; vcpu < 4; ++vcpu) {
    const auto guest = guest_cpuid(host, {vcpu, 4, false});
    EXPECT_EQ(find(guest, 0x1)->ebx >> 24, vcpu);
    EXPECT_EQ(find(guest, 0xb)->edx, vcpu);
    EXPECT_EQ(find(guest, 0x8000'001e)->eax, vcpu);
  }
}

TEST(Cpuid, TheTopologyIsOnePackageOfSingleThreadCores) {
  const std::vector<kvm_cpuid_entry2> host = {leaf(0xb, 0, 1, 2, 0x100, 7), leaf(0xb, 1, 5, 24, 0x201, 7),
                                              leaf(0x8000'0008, 0, 0x3030, 0, 0x7017, 0)};
  const auto guest = guest_cpuid(host, {2, 6, false});
  EXPECT_EQ(find(guest, 0xb, 0)->ebx, 1U);            // one thread a core
  EXPECT_EQ(find(guest, 0xb, 0)->eax, 0U);            // no id bits for threads
  EXPECT_EQ(find(guest, 0xb, 1)->ebx, 6U);            // six in the package
  EXPECT_EQ(find(guest, 0xb, 1)->eax, 3U);            // ids 0-5 need three bits
  EXPECT_EQ(find(guest, 0xb, 2)->ebx, 0U);            // the list ends
  EXPECT_EQ(find(guest, 0x8000'0008)->ecx, 0x3005U);  // the same, AMD's way
  EXPECT_EQ(physical_address_bits(guest), 0x30U);
}

TEST(Cpuid, TheDeadlineTimerIsShownOnlyWhereItWorks) {
  constexpr std::uint32_t kDeadline = 1U << 24;
  const std::vector<kvm_cpuid_entry2> host = {leaf(0x1, 0, 0, 0, 0, 0)};
  EXPECT_EQ(find(guest_cpuid(host, {0, 1, true}), 1)->ecx & kDeadline, kDeadline);
  EXPECT_EQ(find(guest_cpuid(host, {0, 1, false}), 1)->ecx & kDeadline, 0U);
}

TEST(Cpuid, PerformanceCountersAndMonitorAreHidden) {
  constexpr std::uint32_t kMonitor = 1U << 3;
  const std::vector<kvm_cpuid_entry2> host = {leaf(0x1, 0, 0, 0, kMonitor, 0),
                                              leaf(0xa, 0, 0x0730'0402, 0, 0, 0x603)};
  const auto guest = guest_cpuid(host, {0, 1, false});
  EXPECT_EQ(find(guest, 1)->ecx & kMonitor, 0U);
  EXPECT_EQ(find(guest, 0xa)->eax, 0U);
}

TEST(Cpuid, KvmsFeaturesAreShownButAsynchronousPageFaults) {
  const std::vector<kvm_cpuid_entry2> host = {leaf(0x4000'0001, 0, 0x0100'7efb, 0, 0, 0)};
  EXPECT_EQ(find(guest_cpuid(host, {0, 1, false}), 0x4000'0001)->eax, 0x0100'3aebU);
}

TEST(Cpuid, SaveAreaHoldsOnlyStateOfFeaturesTheGuestHas) {
  constexpr std::uint32_t kAvx = 1U << 28;
  const std::vector<kvm_cpuid_entry2> host = {
      leaf(0x1, 0, 0, 0, kAvx, 0),        leaf(0x7, 0, 0, 0, 0, 0),  // AVX, but neither MPX nor PKRU
      leaf(0xd, 0, 0x21f, 2696, 2696, 0), leaf(0xd, 2, 256, 576, 0, 0), leaf(0xd, 3, 64, 960, 0, 0),
      leaf(0xd, 4, 64, 1024, 0, 0),       leaf(0xd, 9, 8, 2688, 0, 0)};
  const auto guest = guest_cpuid(host, {0, 1, false});
  EXPECT_EQ(find(guest, 0xd, 0)->eax, 0x7U);
  EXPECT_EQ(find(guest, 0xd, 0)->ecx, 832U);  // the end of AVX
  EXPECT_EQ(find(guest, 0xd, 2)->eax, 256U);
  EXPECT_EQ(find(guest, 0xd, 9)->eax, 0U);
}

TEST(Cpuid, ACacheOfTheThirdLevelIsSharedByAllAndTheOthersByNobody) {
  const std::vector<kvm_cpuid_entry2> host = {
      leaf(0x8000'001d, 0, 0x0002'c121, 0, 0, 0),   // level 1, shared by 12
      leaf(0x8000'001d, 3, 0x0002'c163, 0, 0, 0)};  // level 3
  const auto guest = guest_cpuid(host, {0, 4, false});
  EXPECT_EQ((find(guest, 0x8000'001d, 0)->eax >> 14) & 0xfff, 0U);
  EXPECT_EQ((find(guest, 0x8000'001d, 3)->eax >> 14) & 0xfff, 3U);
}

TEST(Cpuid, WithoutTheWidthLeafTheWidthIsThatOfTheFirst64BitProcessors) {
  EXPECT_EQ(physical_address_bits({}), 36U);
}

}  // namespace cpuid_test
}  // namespace vmm

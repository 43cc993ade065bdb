// A virtual processor's state in another VM: whatever can be set comes over.
#include "vmm/snapshot/vcpu_state.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include "tests/support/kvm_machine.h"
#include "vmm/kvm/abi.h"
#include "vmm/kvm/system.h"
#include "vmm/kvm/vm.h"
#include "vmm/snapshot/section_fields.h"

namespace vmm::snapshot {
namespace vcpu_state_test {

/// One vCPU with everything KVM has for it.
struct Processor {
  explicit Processor(const kvm::System& system) : vm(kvm::Vm::create(system).value()) {
    EXPECT_TRUE(vm.create_split_irqchip());
    vcpu = vm.create_vcpu(0).value();
    EXPECT_TRUE(vcpu->set_cpuid(system.supported_cpuid().value()));
  }
  kvm::Vm vm;
  std::unique_ptr<kvm::Vcpu> vcpu;
};

std::vector<std::byte> bytes_of(VcpuState state) {
  SectionWriter writer;
  save(writer, state);
  const auto whole = std::move(writer).finish();
  const auto table = SectionTable::read(whole);
  EXPECT_TRUE(table);
  const auto section = table->find("vcpu", 0, 1);
  EXPECT_TRUE(section);
  return {section->content.begin(), section->content.end()};
}

/// Something in each part that is not what a new processor has.
void use(kvm::Vcpu& vcpu) {
  auto regs = vcpu.regs().value();
  regs.rax = regs.rbx = regs.rcx = regs.r15 = 0x1234'5678'9abc'def0;
  regs.rip = 0x7c00;
  ASSERT_TRUE(vcpu.set_regs(regs));
  auto sregs = vcpu.sregs().value();
  sregs.cr2 = 0x4142'4344'4546'4748;
  sregs.gdt.base = 0x1'2345;
  ASSERT_TRUE(vcpu.set_sregs(sregs));
  auto xsave = vcpu.xsave().value();
  constexpr std::size_t kXmm = 160 / 4;       // words from the begin of the legacy area
  constexpr std::size_t kXstateBv = 512 / 4;  // of the header
  std::fill_n(xsave.begin() + kXmm, 64, 0x5a5a'5a5a);
  xsave[kXstateBv] |= 3;
  ASSERT_TRUE(vcpu.set_xsave(xsave));
  auto debug = vcpu.debug_regs().value();
  for (auto& address : debug.db) address = 0xaaaa'bbbb'cccc;
  ASSERT_TRUE(vcpu.set_debug_regs(debug));
  auto lapic = vcpu.lapic().value();
  lapic.regs[0xf1] = 1;                     // enabled: bit 8 of the spurious vector register
  std::memset(lapic.regs + 0x80, 0x20, 1);  // task priority
  for (std::size_t i = 1; i < 8; ++i) std::memset(lapic.regs + 0x200 + 0x10 * i, 0x11, 4);  // pending
  ASSERT_TRUE(vcpu.set_lapic(lapic));
  const std::vector<kvm_msr_entry> msrs{
      {0x174, 0, 0x10}, {0x175, 0, 0xffff'8000'1111'0000}, {0xc000'0102, 0, 0xffff'8000'2222'0000}};
  ASSERT_TRUE(vcpu.set_msrs(msrs));
}

TEST(VcpuStateOnKvm, TimeStampsThatWerePutForward) {
  UVMM_REQUIRE_KVM();
  const auto system = kvm::System::open();
  ASSERT_TRUE(system);
  Processor one(*system);
  Processor other(*system);
  constexpr std::array<std::uint32_t, 1> kTsc{0x10};
  constexpr std::uint64_t kTicks = std::uint64_t{1} << 50;
  std::array<kvm_msr_entry, 1> found{};
  found[0].index = kTsc[0];
  found[0].data = kTicks;
  ASSERT_TRUE(one.vcpu->set_msrs(found));
  ASSERT_TRUE(one.vcpu->msrs(found));
  if (found[0].data < kTicks) GTEST_SKIP() << "this KVM gives its guests the host's own time stamps";
  auto state = VcpuState::take(*one.vcpu, kTsc).value();
  state.advance_tsc(kTicks);
  ASSERT_TRUE(state.give(*other.vcpu));
  ASSERT_TRUE(other.vcpu->msrs(found));
  EXPECT_GE(found[0].data, 2 * kTicks);
  EXPECT_LT(found[0].data, 3 * kTicks);
}

TEST(VcpuStateOnKvm, ComesOverWhole) {
  UVMM_REQUIRE_KVM();
  const auto system = kvm::System::open();
  ASSERT_TRUE(system);
  Processor one(*system);
  Processor other(*system);
  use(*one.vcpu);
  const auto msrs = VcpuState::readable_msrs(*one.vcpu, system->msr_indices().value());
  EXPECT_GT(msrs.size(), 10U);
  const auto fresh = VcpuState::take(*other.vcpu, msrs);
  ASSERT_TRUE(fresh) << fresh.error().text();
  const auto taken = VcpuState::take(*one.vcpu, msrs);
  ASSERT_TRUE(taken) << taken.error().text();
  const auto given = taken->give(*other.vcpu);
  ASSERT_TRUE(given) << given.error().text();
  const auto again = VcpuState::take(*other.vcpu, msrs);
  ASSERT_TRUE(again);

  const auto differences = [](const std::vector<std::byte>& a, const std::vector<std::byte>& b) {
    EXPECT_EQ(a.size(), b.size());
    std::size_t count = 0;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) count += a[i] != b[i] ? 1U : 0U;
    return count;
  };
  // Counters run on between two looks: the TSC, and what a host derives from it.
  constexpr std::size_t kCounters = 24;
  EXPECT_LE(differences(bytes_of(*taken), bytes_of(*again)), kCounters);
  EXPECT_GT(differences(bytes_of(*fresh), bytes_of(*again)), 10 * kCounters);
}

TEST(VcpuStateOnKvm, AnMsrThatIsNotTakenIsNamed) {
  UVMM_REQUIRE_KVM();
  const auto system = kvm::System::open();
  ASSERT_TRUE(system);
  Processor one(*system);
  const auto msrs = VcpuState::readable_msrs(*one.vcpu, system->msr_indices().value());
  const auto taken = VcpuState::take(*one.vcpu, msrs);
  ASSERT_TRUE(taken);
  auto bytes = bytes_of(*taken);
  // SYSENTER_CS, whose index is found in the list, becomes an MSR that nobody has.
  const std::uint32_t index = 0x174;
  const auto wanted = std::as_bytes(std::span(&index, 1));
  const auto found = std::search(bytes.rbegin(), bytes.rend(), wanted.rbegin(), wanted.rend());
  ASSERT_NE(found, bytes.rend());
  const std::uint32_t nobody = 0x4b56'ffff;
  std::memcpy(&*(found.base() - 4), &nobody, sizeof nobody);
  SectionWriter writer;
  writer.add({"vcpu", 0, 1, Unknown::Refuse, bytes});
  const auto whole = std::move(writer).finish();
  const auto table = SectionTable::read(whole);
  ASSERT_TRUE(table);
  VcpuState state;
  ASSERT_TRUE(restore(*table, state));
  Processor other(*system);
  const auto given = state.give(*other.vcpu);
  ASSERT_FALSE(given);
  EXPECT_NE(given.error().text().find("does not take MSR 0x4b56ffff"), std::string::npos)
      << given.error().text();
}

}  // namespace vcpu_state_test
}  // namespace vmm::snapshot

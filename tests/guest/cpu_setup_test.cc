#include "guest/cpu_setup.h"

#include <gtest/gtest.h>

#include "guest/low_memory.h"
#include "tests/guest/images.h"

namespace guest {
namespace cpu_setup_test {

using test::kGiB;

/// What a processor would do with the tables: the physical address of `linear`, or nullopt for "not present".
std::optional<std::uint64_t> walk(const LoadPlan& plan, std::uint64_t linear) {
  std::uint64_t table = plan.entry.cr3;
  for (const unsigned shift : {39u, 30u, 21u}) {
    const auto entry =
        test::peek<std::uint64_t>(test::bytes_at(plan, table + (linear >> shift & 511) * 8, 8), 0);
    if ((entry & 1) == 0) return std::nullopt;
    const std::uint64_t frame = entry & 0x000ffffffffff000;
    if (shift == 21) return (entry & 0x80) == 0 ? std::nullopt : std::optional(frame | (linear & 0x1fffff));
    table = frame;
  }
  return std::nullopt;
}

TEST(CpuSetup, LongModeMapsTheFirstFourGiBOneToOne) {
  LoadPlan plan;
  enter_long_mode(plan, 0x100000);
  for (std::uint64_t linear = 0x123; linear < 4 * kGiB; linear += uvm::kLargePageSize) {
    ASSERT_EQ(walk(plan, linear), linear);
  }
  EXPECT_EQ(walk(plan, 4 * kGiB), std::nullopt);
  EXPECT_EQ(walk(plan, std::uint64_t{1} << 39), std::nullopt);
}

TEST(CpuSetup, LongModeRegistersAreConsistent) {
  LoadPlan plan;
  enter_long_mode(plan, 0x1000200);
  const EntryState& entry = plan.entry;
  EXPECT_EQ(entry.mode, CpuMode::Long64);
  EXPECT_EQ(entry.rip, 0x1000200u);
  EXPECT_EQ(entry.cr0, 0x80000031u);  // PG NE ET PE
  EXPECT_EQ(entry.cr4, 0x20u);        // PAE
  EXPECT_EQ(entry.efer, 0x500u);      // LMA LME
  EXPECT_EQ(entry.rflags, 2u);
  EXPECT_EQ(entry.cs.selector, 0x10);
  EXPECT_EQ(entry.cs.l, 1);
  EXPECT_EQ(entry.cs.db, 0);
  EXPECT_EQ(entry.ds.selector, 0x18);
  EXPECT_EQ(entry.tr.type, 0xb);
  EXPECT_EQ(entry.tr.present, 1);
  EXPECT_EQ(entry.tr.s, 0);
  EXPECT_EQ(entry.ldt.unusable, 1);
}

// Encodings from the SDM's figure 3-8, worked by hand.
TEST(CpuSetup, DescriptorsEncodeTheRegisters) {
  LoadPlan plan;
  enter_long_mode(plan, 0);
  EXPECT_EQ(descriptor(plan.entry.cs), 0x00af9b000000ffffu);
  EXPECT_EQ(descriptor(plan.entry.ds), 0x00cf93000000ffffu);
  EXPECT_EQ(descriptor(plan.entry.tr), 0x00008b0000000067u);
  LoadPlan flat;
  enter_protected_mode(flat, 0);
  EXPECT_EQ(descriptor(flat.entry.cs), 0x00cf9b000000ffffu);
  SegmentRegister odd;
  odd.base = 0x12345678;
  odd.limit = 0xabcde;
  odd.type = 3;
  odd.s = odd.present = 1;
  odd.dpl = 3;
  EXPECT_EQ(descriptor(odd), 0x120af3345678bcdeu);
}

TEST(CpuSetup, TheGdtHoldsWhatTheRegistersHold) {
  for (const bool long_mode : {true, false}) {
    LoadPlan plan;
    if (long_mode) {
      enter_long_mode(plan, 0);
    } else {
      enter_protected_mode(plan, 0);
    }
    const EntryState& entry = plan.entry;
    EXPECT_EQ(entry.gdt_base, low_memory::kGdt.value());
    for (const SegmentRegister& segment : {entry.cs, entry.ss, entry.tr}) {
      ASSERT_LT(segment.selector + 7u, entry.gdt_limit + 1u);
      EXPECT_EQ(test::peek<std::uint64_t>(test::bytes_at(plan, entry.gdt_base + segment.selector, 8), 0),
                descriptor(segment));
    }
  }
}

TEST(CpuSetup, ProtectedModeHasNoPaging) {
  LoadPlan plan;
  enter_protected_mode(plan, 0x100010);
  EXPECT_EQ(plan.entry.cr0, 0x31u);
  EXPECT_EQ(plan.entry.cr4, 0u);
  EXPECT_EQ(plan.entry.efer, 0u);
  EXPECT_EQ(plan.entry.cs.db, 1);
  EXPECT_EQ(plan.entry.cs.l, 0);
  EXPECT_EQ(plan.entry.cs.limit, 0xffffffffu);
}

TEST(CpuSetup, RealModeSegmentsAreParagraphs) {
  const EntryState entry = real_mode_entry(0x2000, 0x10, 0x7c00);
  EXPECT_EQ(entry.mode, CpuMode::Real16);
  EXPECT_EQ(entry.cs.base, 0x20000u);
  EXPECT_EQ(entry.cs.limit, 0xffffu);
  EXPECT_EQ(entry.rip, 0x10u);
  EXPECT_EQ(entry.ss.base, 0u);
  EXPECT_EQ(entry.rsp, 0x7c00u);
  EXPECT_EQ(entry.cr0 & 1, 0u);
  EXPECT_EQ(entry.idt_limit, 0x3ff);
}

TEST(CpuSetup, LowMemoryTablesDoNotOverlap) {
  using namespace low_memory;
  EXPECT_LE(kGdt + 48, kPageTables);
  EXPECT_LE(kPageTables + identity_page_tables(kPageTables).size(), kBootParams);
  EXPECT_LE(kBootParams + sizeof(BootParams), kStartInfo);
  EXPECT_LT(kStartInfo, kMultibootInfo);
  EXPECT_LE(kMultibootInfoEnd, kCommandLine);
  EXPECT_LE(kCommandLine + kCommandLineBytes, kStackBottom);
  EXPECT_LT(kStackTop, kUsableEnd);
  EXPECT_LT(kUsableEnd, kAcpi);
}

}  // namespace cpu_setup_test
}  // namespace guest

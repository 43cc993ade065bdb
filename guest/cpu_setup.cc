#include "guest/cpu_setup.h"

#include "guest/byte_writer.h"
#include "guest/low_memory.h"

namespace guest {
namespace {

constexpr std::uint64_t kCr0ProtectionEnable = 1u << 0;
constexpr std::uint64_t kCr0ExtensionType = 1u << 4;  // hard-wired to 1
constexpr std::uint64_t kCr0NumericError = 1u << 5;
constexpr std::uint64_t kCr0Paging = 1u << 31;
constexpr std::uint64_t kCr4PhysicalAddressExtension = 1u << 5;
constexpr std::uint64_t kEferLongModeEnable = 1u << 8;
constexpr std::uint64_t kEferLongModeActive = 1u << 10;

constexpr std::uint8_t kTypeData = 0x3;     // read/write, accessed
constexpr std::uint8_t kTypeCode = 0xb;     // execute/read, accessed
constexpr std::uint8_t kTypeBusyTss = 0xb;  // system segment: 32- or 64-bit TSS, busy

constexpr std::uint64_t kPagePresent = 1u << 0;
constexpr std::uint64_t kPageWritable = 1u << 1;
constexpr std::uint64_t kPageAccessed = 1u << 5;
constexpr std::uint64_t kPageDirty = 1u << 6;
constexpr std::uint64_t kPageLarge = 1u << 7;
constexpr std::uint64_t kTableEntries = 512;

SegmentRegister flat(std::uint16_t selector, std::uint8_t type) {
  return {.selector = selector,
          .base = 0,
          .limit = 0xffffffff,
          .type = type,
          .present = 1,
          .db = 1,
          .s = 1,
          .g = 1};
}

SegmentRegister real(std::uint16_t segment, std::uint8_t type) {
  return {.selector = segment,
          .base = std::uint64_t{segment} << 4,
          .limit = 0xffff,
          .type = type,
          .present = 1,
          .s = 1};
}

void set_system_segments(EntryState& entry, std::uint16_t task_selector, std::uint32_t task_limit) {
  entry.tr = {.selector = task_selector, .limit = task_limit, .type = kTypeBusyTss, .present = 1};
  entry.ldt = {.unusable = 1};
}

/// `code` and flat data into the registers, and a GDT that holds the same, so that a guest which reloads them
/// keeps running.
void set_flat_segments(LoadPlan& plan, SegmentRegister code) {
  const SegmentRegister data = flat(kDataSelector, kTypeData);
  EntryState& entry = plan.entry;
  entry.cs = code;
  entry.ds = entry.es = entry.fs = entry.gs = entry.ss = data;
  set_system_segments(entry, kTaskSelector, 0x67);

  ByteWriter gdt;
  gdt.u64(0).u64(0).u64(descriptor(code)).u64(descriptor(data));
  gdt.u64(descriptor(entry.tr)).u64(0);  // a 64-bit TSS descriptor takes two slots
  entry.gdt_base = low_memory::kGdt.value();
  entry.gdt_limit = static_cast<std::uint16_t>(gdt.size() - 1);
  plan.segments.push_back(Segment::from_bytes("gdt", low_memory::kGdt, gdt.take()));
}

}  // namespace

std::string_view to_string(CpuMode mode) {
  switch (mode) {
    case CpuMode::Real16:
      return "16-bit real mode";
    case CpuMode::Protected32:
      return "32-bit protected mode";
    case CpuMode::Long64:
      return "64-bit mode";
  }
  return "unknown";
}

std::uint64_t descriptor(const SegmentRegister& segment) {
  const std::uint64_t limit = segment.g != 0 ? segment.limit >> 12 : segment.limit;
  const std::uint64_t base = segment.base;
  std::uint64_t bits = limit & 0xffff;
  bits |= (base & 0xffffff) << 16;
  bits |= std::uint64_t{segment.type} << 40;
  bits |= std::uint64_t{segment.s} << 44;
  bits |= std::uint64_t{segment.dpl} << 45;
  bits |= std::uint64_t{segment.present} << 47;
  bits |= (limit >> 16 & 0xf) << 48;
  bits |= std::uint64_t{segment.l} << 53;
  bits |= std::uint64_t{segment.db} << 54;
  bits |= std::uint64_t{segment.g} << 55;
  bits |= (base >> 24 & 0xff) << 56;
  return bits;
}

EntryState real_mode_entry(std::uint16_t segment, std::uint16_t ip, std::uint16_t sp) {
  EntryState entry;
  entry.mode = CpuMode::Real16;
  entry.rip = ip;
  entry.rsp = sp;
  entry.cr0 = kCr0ExtensionType;
  entry.cs = real(segment, kTypeCode);
  entry.ds = entry.es = entry.fs = entry.gs = entry.ss = real(0, kTypeData);
  set_system_segments(entry, 0, 0xffff);
  entry.gdt_limit = 0xffff;
  entry.idt_limit = 0x3ff;  // the 256 real-mode vectors
  return entry;
}

void enter_protected_mode(LoadPlan& plan, std::uint32_t eip) {
  plan.entry = EntryState{};
  plan.entry.mode = CpuMode::Protected32;
  plan.entry.rip = eip;
  plan.entry.cr0 = kCr0ProtectionEnable | kCr0ExtensionType | kCr0NumericError;
  set_flat_segments(plan, flat(kCodeSelector, kTypeCode));
}

void enter_long_mode(LoadPlan& plan, std::uint64_t rip) {
  plan.entry = EntryState{};
  plan.entry.mode = CpuMode::Long64;
  plan.entry.rip = rip;
  plan.entry.cr0 = kCr0ProtectionEnable | kCr0ExtensionType | kCr0NumericError | kCr0Paging;
  plan.entry.cr3 = low_memory::kPageTables.value();
  plan.entry.cr4 = kCr4PhysicalAddressExtension;
  plan.entry.efer = kEferLongModeEnable | kEferLongModeActive;
  SegmentRegister code = flat(kCodeSelector, kTypeCode);
  code.l = 1;
  code.db = 0;  // L and D together are reserved
  set_flat_segments(plan, code);
  plan.segments.push_back(Segment::from_bytes("page tables", low_memory::kPageTables,
                                              identity_page_tables(low_memory::kPageTables)));
}

std::vector<std::byte> identity_page_tables(uvm::Gpa at) {
  constexpr std::uint64_t kTable = kPagePresent | kPageWritable | kPageAccessed;
  constexpr std::uint64_t kLeaf = kTable | kPageDirty | kPageLarge;
  constexpr std::uint64_t kDirectories = low_memory::kIdentityMapped / uvm::kHugePageSize;
  ByteWriter tables;
  tables.u64((at + uvm::kPageSize).value() | kTable).zeros((kTableEntries - 1) * 8);
  for (std::uint64_t i = 0; i < kDirectories; ++i) {
    tables.u64((at + (2 + i) * uvm::kPageSize).value() | kTable);
  }
  tables.zeros((kTableEntries - kDirectories) * 8);
  for (std::uint64_t gpa = 0; gpa < low_memory::kIdentityMapped; gpa += uvm::kLargePageSize) {
    tables.u64(gpa | kLeaf);
  }
  return tables.take();
}

}  // namespace guest

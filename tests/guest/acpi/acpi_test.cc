#include "guest/acpi/acpi.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "guest/acpi/table.h"
#include "guest/byte_writer.h"
#include "guest/low_memory.h"
#include "tests/guest/acpi/config.h"
#include "tests/guest/images.h"

namespace guest::acpi {
namespace acpi_test {

using test::Bytes;
using test::expect_error;
using test::peek;
using uvm::ErrorKind;
using uvm::Gpa;

int sum_of(std::span<const std::byte> bytes) {
  unsigned sum = 0;
  for (const std::byte byte : bytes) sum += std::to_integer<unsigned>(byte);
  return static_cast<int>(sum & 0xff);
}

std::string signature(const Bytes& table) {
  return {reinterpret_cast<const char*>(table.data()), 4};
}

/// Tables by signature, found the way a guest finds them: RSDP, XSDT, and from the FADT the DSDT and FACS.
std::map<std::string, Bytes> follow(const AcpiTables& tables) {
  LoadPlan plan;
  plan.segments = tables.segments;
  const auto table_at = [&](std::uint64_t gpa) {
    return test::bytes_at(plan, gpa, peek<std::uint32_t>(test::bytes_at(plan, gpa, 8), 4));
  };
  std::map<std::string, Bytes> found;
  const Bytes rsdp = test::bytes_at(plan, tables.rsdp.value(), 36);
  const Bytes xsdt = table_at(peek<std::uint64_t>(rsdp, 24));
  found[signature(xsdt)] = xsdt;
  for (std::size_t at = kHeaderBytes; at + 8 <= xsdt.size(); at += 8) {
    const Bytes table = table_at(peek<std::uint64_t>(xsdt, at));
    found[signature(table)] = table;
  }
  for (const std::size_t field : {std::size_t{36}, std::size_t{40}}) {  // FIRMWARE_CTRL, DSDT
    const Bytes table = table_at(peek<std::uint32_t>(found["FACP"], field));
    found[signature(table)] = table;
  }
  return found;
}

TEST(AcpiTables, RsdpHasBothChecksumsAndLeadsTheArea) {
  const AcpiTables tables = build_tables(test_config()).value();
  ASSERT_FALSE(tables.segments.empty());
  EXPECT_EQ(tables.rsdp, low_memory::kAcpi);
  const Bytes& rsdp = tables.segments[0].bytes;
  ASSERT_EQ(rsdp.size(), 36u);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(rsdp.data()), 8), "RSD PTR ");
  EXPECT_EQ(peek<std::uint8_t>(rsdp, 15), 2);
  EXPECT_EQ(sum_of(std::span(rsdp).first(20)), 0);
  EXPECT_EQ(sum_of(rsdp), 0);
}

TEST(AcpiTables, EveryTableIsReachableWithAGoodChecksum) {
  auto found = follow(build_tables(test_config()).value());
  for (const auto& [name, bytes] : found) {
    ASSERT_GE(bytes.size(), kHeaderBytes) << name;
    EXPECT_EQ(peek<std::uint32_t>(bytes, 4), bytes.size()) << name;
    const bool has_checksum = name != "FACS";
    EXPECT_TRUE(!has_checksum || sum_of(bytes) == 0) << name;
  }
  for (const char* name : {"XSDT", "FACP", "FACS", "DSDT", "APIC", "MCFG"})
    EXPECT_EQ(found.count(name), 1u) << name;
}

TEST(AcpiTables, WithoutPciThereIsNoMcfg) {
  AcpiConfig config = test_config();
  config.pci.reset();
  EXPECT_EQ(follow(build_tables(config).value()).count("MCFG"), 0u);
}

TEST(AcpiTables, SegmentsArePlannable) {
  const Bytes kernel = test::make_bzimage();
  LoadPlan plan = plan_boot(test::request(kernel)).value();
  for (const Segment& segment : build_tables(test_config()).value().segments) {
    const auto range = segment.range();
    ASSERT_TRUE(range.has_value());
    EXPECT_GE(range->begin(), low_memory::kAcpi);
    EXPECT_LE(range->end(), low_memory::kEnd);
    EXPECT_EQ(segment.gpa.value() % 64, 0u) << segment.name;
    for (const Segment& other : plan.segments) EXPECT_FALSE(range->overlaps(*other.range()));
    plan.segments.push_back(segment);
  }
}

TEST(AcpiTables, FadtNamesTheFixedHardware) {
  AcpiConfig config = test_config();
  config.pm = {.io_base = 0x480, .sci_irq = 11, .s5_sleep_type = 5};
  config.reset = {.port = 0x64, .value = 0xfe};
  const Bytes fadt = follow(build_tables(config).value())["FACP"];
  ASSERT_EQ(fadt.size(), 276u);
  EXPECT_EQ(peek<std::uint16_t>(fadt, 46), 11);      // SCI_INT
  EXPECT_EQ(peek<std::uint32_t>(fadt, 48), 0u);      // SMI_CMD: ACPI mode from the start
  EXPECT_EQ(peek<std::uint32_t>(fadt, 56), 0x480u);  // PM1a_EVT
  EXPECT_EQ(peek<std::uint32_t>(fadt, 64), 0x484u);  // PM1a_CNT
  EXPECT_EQ(peek<std::uint32_t>(fadt, 76), 0x488u);  // PM_TMR
  EXPECT_EQ(peek<std::uint64_t>(fadt, 148 + 4), 0x480u);
  EXPECT_EQ(peek<std::uint64_t>(fadt, 172 + 4), 0x484u);
  EXPECT_EQ(peek<std::uint64_t>(fadt, 208 + 4), 0x488u);
  EXPECT_EQ(peek<std::uint8_t>(fadt, 108), 0x32);        // CENTURY
  EXPECT_EQ(peek<std::uint64_t>(fadt, 116 + 4), 0x64u);  // RESET_REG
  EXPECT_EQ(peek<std::uint8_t>(fadt, 128), 0xfe);        // RESET_VALUE
  const auto flags = peek<std::uint32_t>(fadt, 112);
  EXPECT_EQ(flags >> 10 & 1, 1u);  // reset register
  EXPECT_EQ(flags >> 8 & 1, 1u);   // 32-bit timer
  EXPECT_EQ(flags >> 4 & 1, 0u);   // the power button is fixed hardware
  EXPECT_EQ(flags >> 20 & 1, 0u);  // not hardware-reduced
}

TEST(AcpiTables, BootArchitectureDeniesWhatIsNotThere) {
  AcpiConfig config = test_config();
  EXPECT_EQ(peek<std::uint16_t>(follow(build_tables(config).value())["FACP"], 109), 0b101);
  config.keyboard = KeyboardController::Present;
  EXPECT_EQ(peek<std::uint16_t>(follow(build_tables(config).value())["FACP"], 109), 0b111);
}

TEST(AcpiTables, McfgNamesTheEcam) {
  const Bytes mcfg = follow(build_tables(test_config()).value())["MCFG"];
  ASSERT_EQ(mcfg.size(), 60u);
  EXPECT_EQ(peek<std::uint64_t>(mcfg, 44), 0xe0000000u);
  EXPECT_EQ(peek<std::uint8_t>(mcfg, 55), 0);
}

/// Where the bytes `wanted` first are in `bytes`; its size: nowhere.
std::size_t find(const Bytes& bytes, const Bytes& wanted) {
  return static_cast<std::size_t>(std::search(bytes.begin(), bytes.end(), wanted.begin(), wanted.end()) -
                                  bytes.begin());
}

TEST(AcpiTables, TheGenerationIdIsWhereTheDsdtSays) {
  AcpiConfig config = test_config();
  config.area = *uvm::GpaRange::from_size(Gpa(0x2000000), 0x4000);
  const AcpiTables tables = build_tables(config).value();
  ASSERT_TRUE(tables.generation_id.has_value());
  EXPECT_EQ(tables.generation_id->value() % 8, 0u);
  const auto named = [](const Segment& segment) { return segment.name == "acpi VMGenID"; };
  const auto segment = std::ranges::find_if(tables.segments, named);
  ASSERT_NE(segment, tables.segments.end());
  EXPECT_EQ(segment->gpa, *tables.generation_id);
  EXPECT_EQ(segment->bytes, Bytes(16));
  const Bytes dsdt = follow(tables)["DSDT"];
  // Name(ADDR, Package(2) {DWord, Zero})
  ByteWriter address;
  address.u8(0x08).text("ADDR").u8(0x12).u8(8).u8(2).u8(0x0c).u32(tables.generation_id->value()).u8(0);
  EXPECT_LT(find(dsdt, address.take()), dsdt.size());
}

TEST(AcpiTables, TheDsdtSaysWhereInterruptLinesEnd) {
  AcpiConfig config = test_config();
  config.pci->lines = {{.device = 3, .pin = 2, .gsi = 19}};
  const Bytes dsdt = follow(build_tables(config).value())["DSDT"];
  // Name(_PRT, Package(1) {Package(4) {0x3ffff, 2, Zero, 19}})
  ByteWriter table;
  table.u8(0x08).text("_PRT").u8(0x12).u8(15).u8(1).u8(0x12).u8(12).u8(4).u8(0x0c).u32(0x3ffff);
  table.u8(0x0a).u8(2).u8(0).u8(0x0a).u8(19);
  EXPECT_LT(find(dsdt, table.take()), dsdt.size());
  config.pci->lines.clear();
  EXPECT_EQ(find(follow(build_tables(config).value())["DSDT"], ByteWriter().text("_PRT").take()),
            follow(build_tables(config).value())["DSDT"].size());
}

TEST(AcpiTables, WithoutAGenerationIdNothingTellsOfOne) {
  AcpiConfig config = test_config();
  config.generation_id.reset();
  const AcpiTables tables = build_tables(config).value();
  EXPECT_FALSE(tables.generation_id.has_value());
  for (const Segment& segment : tables.segments) EXPECT_NE(segment.name, "acpi VMGenID");
  const Bytes dsdt = follow(tables)["DSDT"];
  for (const char* part : {"VGEN", "GED0", "ACPI0013"})
    EXPECT_EQ(find(dsdt, ByteWriter().text(part).take()), dsdt.size()) << part;
}

TEST(AcpiTables, RefusesNoVcpusAndTooMany) {
  AcpiConfig config = test_config();
  config.vcpus = 0;
  expect_error(build_tables(config), ErrorKind::Invalid, "for 0 vCPUs");
  config.vcpus = 5000;
  expect_error(build_tables(config), ErrorKind::Invalid, "for 5000 vCPUs");
  config.vcpus = 4096;
  expect_error(build_tables(config), ErrorKind::NoMemory, "doesn't fit");
}

TEST(AcpiTables, TheAreaCanBeElsewhere) {
  AcpiConfig config = test_config();
  config.area = *uvm::GpaRange::from_size(Gpa(0x2000010), 0x4000);
  const AcpiTables tables = build_tables(config).value();
  EXPECT_EQ(tables.rsdp, Gpa(0x2000040));
  config.area = *uvm::GpaRange::from_size(Gpa(0x2000000), 0x200);
  expect_error(build_tables(config), ErrorKind::NoMemory, "doesn't fit");
}

/// MADT entries of one type.
std::vector<Bytes> entries(const Bytes& madt, std::uint8_t type) {
  std::vector<Bytes> found;
  for (std::size_t at = 44; at + 2 <= madt.size();) {
    const std::size_t length = peek<std::uint8_t>(madt, at + 1);
    if (length < 2 || at + length > madt.size()) {
      ADD_FAILURE() << "entry at " << at;
      break;
    }
    const auto from = madt.begin() + static_cast<std::ptrdiff_t>(at);
    if (peek<std::uint8_t>(madt, at) == type)
      found.emplace_back(from, from + static_cast<std::ptrdiff_t>(length));
    at += length;
  }
  return found;
}

TEST(Madt, OneEnabledProcessorForEachVcpu) {
  AcpiConfig config = test_config();
  config.vcpus = 16;
  const Bytes madt = follow(build_tables(config).value())["APIC"];
  const auto apics = entries(madt, 0);
  ASSERT_EQ(apics.size(), 16u);
  for (std::uint8_t i = 0; i < 16; ++i) {
    EXPECT_EQ(peek<std::uint8_t>(apics[i], 2), i);
    EXPECT_EQ(peek<std::uint8_t>(apics[i], 3), i);
    EXPECT_EQ(peek<std::uint32_t>(apics[i], 4), 1u);
  }
  EXPECT_TRUE(entries(madt, 9).empty());
}

TEST(Madt, IdsFrom255OnAreX2Apics) {
  AcpiConfig config = test_config();
  config.vcpus = 300;
  const Bytes madt = follow(build_tables(config).value())["APIC"];
  EXPECT_EQ(entries(madt, 0).size(), 255u);
  const auto x2apics = entries(madt, 9);
  ASSERT_EQ(x2apics.size(), 45u);
  EXPECT_EQ(peek<std::uint32_t>(x2apics.front(), 4), 255u);
  EXPECT_EQ(peek<std::uint32_t>(x2apics.back(), 4), 299u);
  EXPECT_EQ(entries(madt, 10).size(), 1u);
}

TEST(Madt, OverridesEncodePolarityAndTrigger) {
  AcpiConfig config = test_config();
  config.overrides = {{.source = 0, .gsi = 2},
                      {.source = 10, .gsi = 20, .polarity = Polarity::ActiveLow, .trigger = Trigger::Level}};
  const Bytes madt = follow(build_tables(config).value())["APIC"];
  const auto overrides = entries(madt, 2);
  ASSERT_EQ(overrides.size(), 3u);
  EXPECT_EQ(peek<std::uint8_t>(overrides[0], 3), 9);  // the SCI comes by itself
  EXPECT_EQ(peek<std::uint16_t>(overrides[0], 8), 0b1101);
  EXPECT_EQ(peek<std::uint32_t>(overrides[1], 4), 2u);
  EXPECT_EQ(peek<std::uint16_t>(overrides[1], 8), 0b0101);
  EXPECT_EQ(peek<std::uint32_t>(overrides[2], 4), 20u);
  EXPECT_EQ(peek<std::uint16_t>(overrides[2], 8), 0b1111);
}

TEST(Madt, PcAtCompatibilityFollowsThePic) {
  AcpiConfig config = test_config();
  EXPECT_EQ(peek<std::uint32_t>(follow(build_tables(config).value())["APIC"], 40), 0u);
  config.legacy_pic = LegacyPic::Present;
  EXPECT_EQ(peek<std::uint32_t>(follow(build_tables(config).value())["APIC"], 40), 1u);
}

}  // namespace acpi_test
}  // namespace guest::acpi

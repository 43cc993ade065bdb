#include "vmm/config/values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace vmm::config {
namespace values_test {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

TEST(ParseSize, TakesUnits) {
  struct Row {
    const char* text;
    std::uint64_t bytes;
  };
  const Row rows[] = {
      {"512", 512 * kMiB},
      {"512M", 512 * kMiB},
      {"512m", 512 * kMiB},
      {"2G", 2048 * kMiB},
      {"2GiB", 2048 * kMiB},
      {"2GB", 2048 * kMiB},
      {"4K", 4096},
      {"1T", kMiB * kMiB},
      {"0", 0},
      {"size=2G", 2048 * kMiB},
      {"1500K", 1500 * 1024},
      {"16777215T", 16777215 * kMiB * kMiB},
  };
  for (const Row& row : rows) {
    const auto size = parse_size(row.text);
    ASSERT_TRUE(size) << row.text << ": " << size.error().text();
    EXPECT_EQ(*size, row.bytes) << row.text;
  }
}

TEST(ParseSize, RefusesTheRestAndSaysHowToWriteIt) {
  for (const char* text :
       {"", "G", "1.5G", "-1", "+1", "0x10", "1 G", "2X", "2GG", "2Mi", "M2", " 2G", "2G "}) {
    const auto size = parse_size(text);
    ASSERT_FALSE(size) << text;
    EXPECT_THAT(size.error().text(), ::testing::HasSubstr("512M or 2G")) << text;
  }
  for (const char* text : {"16777216T", "99999999999999999999", "99999999999999999999999G"}) {
    const auto size = parse_size(text);
    ASSERT_FALSE(size) << text;
    EXPECT_THAT(size.error().text(), ::testing::HasSubstr("64 bits")) << text;
  }
}

TEST(FormatSize, IsTheShortestFormAndParsesBack) {
  EXPECT_EQ(format_size(512 * kMiB), "512M");
  EXPECT_EQ(format_size(2048 * kMiB), "2G");
  EXPECT_EQ(format_size(1500 * 1024), "1500K");
  EXPECT_EQ(format_size(4097), "4097 bytes");
  EXPECT_EQ(format_size(0), "0");
  EXPECT_EQ(*parse_size(format_size(3 * kMiB * kMiB)), 3 * kMiB * kMiB);
}

TEST(ParseVcpus, TakesTheFormsOfOthers) {
  EXPECT_EQ(*parse_vcpus("4"), 4U);
  EXPECT_EQ(*parse_vcpus("cpus=4"), 4U);
  EXPECT_EQ(*parse_vcpus("boot=4"), 4U);
  EXPECT_EQ(*parse_vcpus("1000"), 1000U);  // the limit is validate()'s to name
  for (const char* text : {"", "four", "-1", "4,sockets=1", "4294967296", "1e3"})
    EXPECT_FALSE(parse_vcpus(text)) << text;
}

TEST(ParseMaxChildren, TakesWholeNumbers) {
  EXPECT_EQ(*parse_max_children("0"), 0U);
  EXPECT_EQ(*parse_max_children("65536"), 65536U);
  for (const char* text : {"", "many", "-1", "1k", "65537", "18446744073709551616"})
    EXPECT_FALSE(parse_max_children(text)) << text;
}

TEST(ParseAddress, TakesDecimalAndHexadecimal) {
  EXPECT_EQ(*parse_address("0x100000"), 0x100000U);
  EXPECT_EQ(*parse_address("1048576"), 0x100000U);
  for (const char* text : {"", "0x", "100000h", "-1", "0x1g", "0x10000000000000000"}) {
    EXPECT_FALSE(parse_address(text)) << text;
  }
}

TEST(ParseWord, NamesTheNearestAndAll) {
  EXPECT_EQ(*parse_irqchip("split"), IrqChip::Split);
  EXPECT_EQ(*parse_backing("shared"), MemoryBacking::Shared);
  EXPECT_EQ(*parse_kernel_format("flat-long"), "flat-long");
  const auto wrong = parse_irqchip("spilt");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().text(), "'spilt' is not one of auto, split or full; the nearest is 'split'");
}

TEST(ParseWord, AHostileWordIsCutAndEscaped) {
  const auto wrong = parse_irqchip("\x1b[2J\n" + std::string(5000, 'x'));
  ASSERT_FALSE(wrong);
  EXPECT_LT(wrong.error().text().size(), 200U);
  EXPECT_EQ(wrong.error().text().find('\n'), std::string::npos);
}

TEST(EveryEnumValue, GoesThroughItsName) {
  for (const auto value : {MemoryBacking::Auto, MemoryBacking::Anonymous, MemoryBacking::Shared}) {
    EXPECT_EQ(*parse_backing(to_string(value)), value);
  }
  for (const auto value : {IrqChip::Auto, IrqChip::Split, IrqChip::Full}) {
    EXPECT_EQ(*parse_irqchip(to_string(value)), value);
  }
  for (const auto value : {HugePages::Auto, HugePages::Never})
    EXPECT_EQ(*parse_huge_pages(to_string(value)), value);
  for (const auto value : {DebugExitStatus::Qemu, DebugExitStatus::Plain}) {
    EXPECT_EQ(*parse_debug_exit(to_string(value)), value);
  }
  for (const auto value : {ConsoleMode::Stdio, ConsoleMode::None}) {
    EXPECT_EQ(*parse_console(to_string(value)), value);
  }
  for (const auto value : {ShowMap::OnSignal, ShowMap::AtExit})
    EXPECT_EQ(*parse_show_map(to_string(value)), value);
}

TEST(ParseLogLevel, GivesTheCanonicalName) {
  EXPECT_EQ(*parse_log_level("Warn"), "warning");
  EXPECT_EQ(*parse_log_level("Info"), "info");
  const auto wrong = parse_log_level("verbose");
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().text(),
              ::testing::HasSubstr("trace, debug, info, warning, error, critical or off"));
}

}  // namespace values_test
}  // namespace vmm::config

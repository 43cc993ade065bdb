// The table of `uvmm top`.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vmm/cli/top_command.h"

namespace vmm::cli {
namespace top_test {

using ::testing::HasSubstr;

TopSample guest(const char* name, std::uint64_t pid, std::uint64_t parent) {
  TopSample sample;
  sample.name = name;
  sample.pid = pid;
  sample.parent = parent;
  sample.memory = std::uint64_t{64} << 20;
  return sample;
}

TEST(Top, ShowsCopiesBelowWhatTheyAreCopiesOf) {
  const std::string table = top_table(
      {guest("copy", 3, 2), guest("alone", 9, 8), guest("first", 2, 0), guest("grand", 4, 3)}, {}, 0);
  const auto alone = table.find("\nalone ");
  const auto first = table.find("\nfirst ");
  const auto copy = table.find("\n  copy ");
  const auto grand = table.find("\n    grand ");
  ASSERT_NE(grand, std::string::npos) << table;
  EXPECT_NE(alone, std::string::npos) << table;
  EXPECT_LT(first, copy) << table;
  EXPECT_LT(copy, grand) << table;
}

TEST(Top, ShowsRatesOfWhoWasThereBefore) {
  TopSample before = guest("one", 2, 0);
  before.faults = 100;
  TopSample now = before;
  now.faults = 300;
  now.exits = 50;
  EXPECT_THAT(top_table({now}, {before}, 2), HasSubstr("      100/s       25/s\n"));
  EXPECT_THAT(top_table({now}, {}, 2), HasSubstr("        300         50\n"));
}

/// Processes that name each other as parents are each shown once, or not at all, and never for ever.
TEST(Top, EndsWhateverMachinesSayOfEachOther) {
  const std::string table = top_table({guest("a", 1, 2), guest("b", 2, 1), guest("c", 3, 3)}, {}, 0);
  EXPECT_LE(table.size(), 1000U);
}

}  // namespace top_test
}  // namespace vmm::cli

#include "vmm/cli/progress_bar.h"

#include <gtest/gtest.h>

namespace vmm::cli {
namespace progress_bar_test {

TEST(ProgressLine, SaysHowFarItIs) {
  constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
  EXPECT_EQ(progress_line("snapshot", 0, kGiB), "snapshot [                    ]   0%  0 of 1G");
  EXPECT_EQ(progress_line("snapshot", kGiB / 4, kGiB), "snapshot [#####               ]  25%  256M of 1G");
  EXPECT_EQ(progress_line("snapshot", kGiB, kGiB), "snapshot [####################] 100%  1G of 1G");
}

TEST(ProgressLine, OfNothingItIsDone) {
  EXPECT_EQ(progress_line("x", 0, 0), "x [####################] 100%  0 of 0");
}

TEST(ProgressLine, IsNeverMoreThanAll) {
  EXPECT_EQ(progress_line("x", 3, 2).substr(0, 25), "x [####################] ");
}

}  // namespace progress_bar_test
}  // namespace vmm::cli

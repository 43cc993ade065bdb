#include "vmm/config/nearest.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace vmm::config {
namespace nearest_test {

TEST(EditDistance, CountsSteps) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("abc", "abc"), 0U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("memroy", "memory"), 1U);  // two neighbours swapped
  EXPECT_EQ(edit_distance("VCPU-COUNT", "vcpu_count"), 0U);
}

TEST(EditDistance, AHostileWordCostsLittle) {
  EXPECT_EQ(edit_distance(std::string(1 << 20, 'x'), "kernel"), 64U);
}

TEST(Nearest, FindsWhatWasMeant) {
  constexpr std::array<std::string_view, 5> kWords = {"--kernel", "--initrd", "--memory", "--cpus",
                                                      "--cmdline"};
  EXPECT_EQ(nearest("--kernle", kWords), "--kernel");
  EXPECT_EQ(nearest("--memroy", kWords), "--memory");
  EXPECT_EQ(nearest("--cmd", kWords), "--cmdline");
  EXPECT_EQ(nearest("--vcpus", kWords), "--cpus");
  EXPECT_EQ(nearest("", {}), "");
}

TEST(Alternatives, ReadLikeASentence) {
  constexpr std::array<std::string_view, 3> kWords = {"auto", "split", "full"};
  EXPECT_EQ(alternatives(kWords), "auto, split or full");
  EXPECT_EQ(alternatives(std::span(kWords).first(1)), "auto");
}

}  // namespace nearest_test
}  // namespace vmm::config

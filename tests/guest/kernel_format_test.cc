#include "guest/kernel_format.h"

#include <gtest/gtest.h>

namespace guest {
namespace kernel_format_test {

TEST(KernelFormat, EveryNameFindsItsFormat) {
  for (const auto format : {KernelFormat::Auto, KernelFormat::BzImage, KernelFormat::Elf64, KernelFormat::Pvh,
                            KernelFormat::Multiboot, KernelFormat::FlatReal, KernelFormat::FlatLong}) {
    EXPECT_EQ(kernel_format(to_string(format)), format) << to_string(format);
    EXPECT_NE(kernel_format_names().find(to_string(format)), std::string::npos);
  }
}

TEST(KernelFormat, OtherWordsAreNoFormat) {
  EXPECT_EQ(kernel_format(""), std::nullopt);
  EXPECT_EQ(kernel_format("bzImage"), std::nullopt);
}

}  // namespace kernel_format_test
}  // namespace guest

#include "uvm/base/units.h"

#include <gtest/gtest.h>

#include <type_traits>

namespace uvm {
namespace units_test {

static_assert(!std::is_convertible_v<Gpa, Hva>);
static_assert(!std::is_convertible_v<std::uint64_t, Gpa>);
static_assert(!std::is_convertible_v<Gpa, std::uint64_t>);

TEST(UnitsTest, RoundsToPages) {
  EXPECT_EQ(Gpa(0x1fff).page_down(), Gpa(0x1000));
  EXPECT_EQ(Gpa(0x1001).page_up(), Gpa(0x2000));
  EXPECT_EQ(Gpa(0x1000).page_up(), Gpa(0x1000));
  EXPECT_EQ(Gpa(0x1234).offset_in_page(), 0x234U);
  EXPECT_EQ(Gpa(0x5000).page(), 5U);
  EXPECT_EQ(Gpa(~std::uint64_t{0}).page_up(), Gpa(0)) << "documented to wrap";
}

TEST(UnitsTest, Subtracts) {
  EXPECT_EQ(Gpa(0x3000) - Gpa(0x1000), 0x2000U);
  EXPECT_EQ(Gpa(0x3000) - 0x1000, Gpa(0x2000));
}

}  // namespace units_test
}  // namespace uvm

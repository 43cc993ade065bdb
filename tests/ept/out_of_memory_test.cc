// A host without memory for tables: the process ends, because a window that differs from its tables would
// give a guest memory that is not its own.
#include <gtest/gtest.h>

#include "tests/ept/ept_support.h"
#include "tests/support/alloc_fault.h"

namespace ept {
namespace {

using namespace test;

TEST(PmapOutOfMemoryDeathTest, EndsRatherThanForgetHalf) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto pmap = make_pmap(pages(0, 1024), Events::Never);
  ASSERT_OK(pmap->enter(zero(pages(0, 1024))));
  EXPECT_DEATH(
      {
        const ::test::AllocFault fault(1, ::test::Exhaustion::FromThenOn);
        pmap->remove(pages(5, 1));
      },
      "");
  EXPECT_TRUE(pmap->extract(page(5)));
  pmap->remove(pages(5, 1));
  EXPECT_FALSE(pmap->extract(page(5)));
}

}  // namespace
}  // namespace ept

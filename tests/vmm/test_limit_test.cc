// A hang is cut short, with the name of the test and of the threads it left standing.
#include "tests/support/test_limit.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace test_limit_test {

using namespace std::chrono_literals;

TEST(TestLimitDeathTest, ATestThatDoesNotEndIsNamedAndEnded) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto* self = testing::UnitTest::GetInstance()->current_test_info();
  const auto hang = [&] {
    test::TestLimit limit(1s);
    limit.OnTestStart(*self);
    std::this_thread::sleep_for(1h);
  };
  EXPECT_DEATH(hang(), "ATestThatDoesNotEndIsNamedAndEnded did not end in 1 seconds\nthread vmm_tests: ");
}

TEST(TestLimit, TestsThatEndAreLeftAlone) {
  test::TestLimit limit(1h);
  const auto* self = testing::UnitTest::GetInstance()->current_test_info();
  limit.OnTestStart(*self);
  limit.OnTestEnd(*self);
  limit.OnTestStart(*self);  // and still running when the program ends
}

}  // namespace test_limit_test

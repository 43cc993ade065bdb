// The main function of every test program.
#include <gmock/gmock.h>

#include "tests/support/test_limit.h"

namespace {

constexpr std::chrono::seconds kLimit{400};  // above what run_process() gives a program

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  // Owned by GoogleTest from here on.
  testing::UnitTest::GetInstance()->listeners().Append(new test::TestLimit(kLimit));
  return RUN_ALL_TESTS();
}

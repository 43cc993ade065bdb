// The main function of every test program.
#include <gmock/gmock.h>

#include "tests/support/test_limit.h"

namespace {

constexpr std::chrono::seconds kLimit{400};  // above what run_process() gives a program

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  auto& listeners = testing::UnitTest::GetInstance()->listeners();
  // Owned by GoogleTest from here on.
#if defined(__SANITIZE_THREAD__)
  // ThreadSanitizer refuses threads in a child of fork() whose parent has some.
  listeners.Append(new test::TestAlarm(kLimit));
#else
  listeners.Append(new test::TestLimit(kLimit));
#endif
  return RUN_ALL_TESTS();
}

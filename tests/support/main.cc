// The main function of every test program.
#include <gmock/gmock.h>

#include <chrono>
#include <cstdlib>

#include "tests/support/test_limit.h"
#include "uvm/base/sanitizers.h"

namespace {

/// Above what run_process() gives a program; UVMM_TEST_LIMIT is for programs with longer work.
std::chrono::seconds limit() {
  const char* set = std::getenv("UVMM_TEST_LIMIT");
  return std::chrono::seconds(set == nullptr ? 400 : std::atoi(set));
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  auto& listeners = testing::UnitTest::GetInstance()->listeners();
  // Owned by GoogleTest from here on.
  if constexpr (uvm::kThreadSanitized) {
    // ThreadSanitizer refuses threads in a child of fork() whose parent has some.
    listeners.Append(new test::TestAlarm(limit()));
  } else {
    listeners.Append(new test::TestLimit(limit()));
  }
  return RUN_ALL_TESTS();
}

// The mutation check's lists fit the source: a fault whose line has changed would test nothing.
#include <gtest/gtest.h>

#include <string>

#include "tests/support/process.h"

namespace {

TEST(Mutations, FitTheSource) {
  const auto listed =
      test::run_process({"/usr/bin/env", "python3", UVMM_SOURCE_DIR "/tests/mutations/run.py", "--list"});
  EXPECT_EQ(listed.status, 0) << listed.out << listed.err
                              << "whoever changes a line that tests/mutations/*.txt breaks changes it there";
}

}  // namespace

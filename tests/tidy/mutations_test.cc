// The mutation check's lists fit the source: a fault whose line has changed would test nothing.
#include <gtest/gtest.h>

#include <string>

#include "tests/support/places.h"
#include "tests/support/process.h"

namespace mutations_test {

TEST(Mutations, FitTheSource) {
  const auto listed = test::run_process(
      {"/usr/bin/env", "python3", test::source_dir() + "/tests/mutations/run.py", "--list"});
  EXPECT_EQ(listed.status, 0) << listed.out << listed.err
                              << "whoever changes a line that tests/mutations/*.txt breaks changes it there";
}

}  // namespace mutations_test

// configs/examples/twenty_forks.sh, as somebody who tries it out runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "tests/support/kvm_machine.h"
#include "tests/support/places.h"
#include "tests/support/process.h"

namespace twenty_forks_test {

using ::testing::ContainsRegex;

TEST(TwentyForks, RunAreShownAndEnd) {
  UVMM_REQUIRE_KVM();
  const auto done =
      test::run_process({test::source_dir() + "/configs/examples/twenty_forks.sh", test::uvmm_path()},
                        {std::chrono::seconds(240), {}});
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_THAT(done.out, ContainsRegex("\nparent +[0-9]+ "));
  std::size_t copies = 0;
  for (std::size_t at = 0; (at = done.out.find("\n  copy ", at)) != std::string::npos; ++at) ++copies;
  EXPECT_EQ(copies, 40U) << "shown twice: " << done.out;
}

}  // namespace twenty_forks_test

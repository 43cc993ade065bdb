// Many threads on the simulated MMU: see tests/support/model/stress.h for what must hold.
#include <gtest/gtest.h>

#include "tests/support/model/sim_backend.h"
#include "tests/support/model/stress.h"
#include "tests/support/patterns.h"

namespace test {
namespace concurrency_test {

TEST(Concurrency, FaultsPinsForksAndADebuggerAtOnce) {
  model::SimBackend backend;
  model::stress(backend, test_seed(), 300);
}

}  // namespace concurrency_test
}  // namespace test

// Many threads on this host's memory: see tests/support/model/stress.h for what must hold.
#include <gtest/gtest.h>

#include "tests/ept/ept_support.h"
#include "tests/support/model/host_backend.h"
#include "tests/support/model/stress.h"
#include "tests/support/patterns.h"

namespace ept {
namespace concurrency_test {

TEST(ConcurrencyOnHost, FaultsPinsForksAndADebuggerAtOnce) {
  const auto probe = test::make_pmap(test::pages(0, 1));
  REQUIRE_EVENTS(probe);
  ::test::model::HostBackend backend(Events::WhenPossible, ::test::model::Drops::WhenAsked);
  ::test::model::stress(backend, ::test::test_seed(), 300);
}

}  // namespace concurrency_test
}  // namespace ept

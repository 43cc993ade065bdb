// Many threads at once on spaces that share and copy each other's memory, with what must hold at every
// moment.
//
// Each page has a word for each actor, which nobody else writes, and which only ever grows. So whoever read
// or was told a value must never see a smaller one (T12), an actor finds its own word as it left it, a copy
// holds what was there when it was made and keeps it, and what a device wrote through a pin is the guest's
// memory.
#pragma once

#include <cstdint>

#include "tests/support/model/backend.h"

namespace test::model {

/// Runs until every actor has done `rounds` rounds. Failures are the test's. The backend's machines need
/// another_cpu().
void stress(Backend& backend, std::uint64_t seed, int rounds);

}  // namespace test::model

// Random sequences: the same seed gives the same steps, whatever they are run on.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/support/model/op.h"

namespace test::model {

/// `steps` steps, the first of which creates a space.
[[nodiscard]] std::vector<Op> generate(std::uint64_t seed, std::size_t steps);

}  // namespace test::model

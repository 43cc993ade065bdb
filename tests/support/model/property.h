// A property that random sequences must have, and the shortest sequence that has it not.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/model/backend.h"
#include "tests/support/model/op.h"

namespace test::model {

inline constexpr std::size_t kSequence = 2000;
/// A sequence takes less than two seconds. Shorter ones that hang are not waited for that long.
inline constexpr unsigned kTrialSeconds = 300;
inline constexpr unsigned kShorterTrialSeconds = 20;

using MakeBackend = std::function<std::unique_ptr<Backend>()>;

/// Runs the sequence on a backend of its own, in a child process: a crash, a hang (`seconds`) and a
/// failed expectation are all differences. Empty: none; otherwise what the child said.
[[nodiscard]] std::string difference(const MakeBackend& make, const std::vector<Op>& ops,
                                     unsigned seconds = kTrialSeconds);

/// Checks sequences of at most `kSequence` steps, `steps` in all (or as many as UVMM_MODEL_STEPS says). The
/// first one that differs is shrunk and fails the test with its seed and its steps, as code.
void check_random_sequences(const MakeBackend& make, std::size_t steps);
/// One sequence that somebody wrote down.
void check_sequence(const MakeBackend& make, const std::vector<Op>& ops);

}  // namespace test::model

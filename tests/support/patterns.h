// Bytes that can be recognised: a stream that depends on a seed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace test {

void fill_pattern(std::span<std::byte> bytes, std::uint64_t seed);
[[nodiscard]] std::vector<std::byte> pattern(std::size_t size, std::uint64_t seed);
[[nodiscard]] bool is_pattern(std::span<const std::byte> bytes, std::uint64_t seed);
[[nodiscard]] bool is_zero(std::span<const std::byte> bytes);

/// The seed of a randomised test: UVMM_TEST_SEED when it is set, else a new one; printed either way.
[[nodiscard]] std::uint64_t test_seed();

}  // namespace test

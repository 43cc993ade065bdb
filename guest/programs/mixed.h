// Words that look like chance and are the same each time.
#pragma once

#include <cstdint>

namespace guest::programs {

/// One to one; near values come far apart (the last step of SplitMix64).
inline constexpr std::uint64_t mixed(std::uint64_t value) {
  value = (value ^ value >> 30) * 0xbf58'476d'1ce4'e5b9;
  value = (value ^ value >> 27) * 0x94d0'49bb'1331'11eb;
  return value ^ value >> 31;
}

}  // namespace guest::programs

// What became of pages that a guest has done with.
#pragma once

#include <cstdint>

namespace uvm {

/// Bytes; together what Space::discard() was asked for.
struct Discarded {
  std::uint64_t given_back = 0;  // cost nothing now, whether they did before or not
  std::uint64_t kept = 0;        // are as they were

  friend bool operator==(const Discarded&, const Discarded&) = default;
};

}  // namespace uvm

// Whether an operation may wait for pages that have to be read in.
#pragma once

#include <cstdint>

namespace uvm {

enum class Patience : std::uint8_t {
  Sleep,   // until they are there
  Refuse,  // Busy instead of waiting: for callers that have a better thread to wait on
};

}  // namespace uvm

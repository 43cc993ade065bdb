#include "uvm/base/range.h"

#include <array>
#include <charconv>

namespace uvm {

std::string hex(std::uint64_t value) {
  std::array<char, 18> text{'0', 'x'};
  const auto end = std::to_chars(text.data() + 2, text.data() + text.size(), value, 16).ptr;
  return {text.data(), end};
}

}  // namespace uvm

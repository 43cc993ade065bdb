// What a caller says to see a range of one space in another.
#pragma once

#include <string>

#include "uvm/base/range.h"
#include "uvm/protection.h"

namespace uvm {

struct ExtractRequest {
  GpaRange from;  // of the space that has the memory; page-aligned, mapped throughout
  Gpa at;         // where it appears in the other space; page-aligned
  /// Rights there: with Read, and at most the max_protection of what is extracted.
  Protection protection = Protection::ReadWrite;
  std::string name;  // for listings; empty: as in the space it comes from
};

}  // namespace uvm

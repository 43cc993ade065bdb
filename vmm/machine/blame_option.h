// What an error of something that the operator has named means for the machine.
#pragma once

#include "uvm/base/error.h"

namespace vmm {

/// An option names something that cannot be had: the option is to blame, whatever the cause is.
[[nodiscard]] inline uvm::Error blame_option(const uvm::Error& error) {
  return {uvm::ErrorKind::Invalid, error.what(), error.way_out()};
}

}  // namespace vmm

// The table of `uvmm run`'s options.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "uvm/base/error.h"
#include "vmm/machine/config.h"

namespace vmm::cli {

/// Of an option that is given more than once: the last one counts, or each of them.
enum class Repeat : std::uint8_t { Last, All };

struct RunFlag {
  const char* names;  // "-m,--memory,--mem"
  const char* shown;  // the long name in messages, "--memory"
  const char* group;
  const char* value;  // what follows, "SIZE"; "" when nothing does
  const char* help;   // '\n' breaks a line
  uvm::Status (*apply)(std::string_view value,
                       MachineConfig& config);  // nullptr: no field of the configuration
  Repeat repeat = Repeat::Last;
};

/// In the order of the help text, group by group.
[[nodiscard]] std::span<const RunFlag> run_flags();
/// Those of them that say how much of its memory a guest has at once; a copy has none but its own.
[[nodiscard]] std::span<const RunFlag> overcommit_flags();

}  // namespace vmm::cli

// A section's content, by the list of fields that describes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/devices/state.h"
#include "vmm/snapshot/section_file.h"

namespace vmm::snapshot {

/// Adds what `source` has to say, as a section of its name.
void save(SectionWriter& writer, devices::Stateful& source, std::uint16_t instance = 0,
          Unknown unknown = Unknown::Refuse);

/// Gives `target` what its section holds. Errors: Invalid, naming the section: missing, younger, longer or
/// shorter than its fields, or a value that the target refused.
[[nodiscard]] uvm::Status restore(const SectionTable& table, devices::Stateful& target,
                                  std::uint16_t instance = 0);

}  // namespace vmm::snapshot

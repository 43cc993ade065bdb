// A guest's memory as JSON.
#pragma once

#include <string>

#include "uvm/space.h"
#include "vmm/control/census.h"

namespace vmm::api {

/// {"mappings": [{"begin", "end", "name", "kind", "protection", "max_protection", "object", "offset",
/// "resident", "private", "shared", "huge", "wired", "swapped"}, …], "totals": {…}}; addresses and bytes are
/// numbers. Costs what a memory map does.
[[nodiscard]] std::string memory_map_json(uvm::Space& space);

/// {"bytes": {…}, "faults": {…}, "pins": {…}, "shares": {"unique", "shared", "proportional", "guests",
/// "silent", "objects_held", "objects_unseen"} or null, "swap": {…} or null}
[[nodiscard]] std::string memory_statistics_json(uvm::Space& space,
                                                 const uvm::Result<control::Census>& census);

/// {"pins": [{"begin", "end", "access", "on_fork", "owner", "seconds"}, …], "bytes", "made"}
[[nodiscard]] std::string pins_json(const uvm::Space& space);

}  // namespace vmm::api

// target.xml: the registers of a RegisterMap in the form that gdb and lldb read.
#pragma once

#include <string>

#include "vmm/gdb/register_map.h"

namespace vmm::gdb {

/// Whole and self-contained (no includes), with the types that its registers use.
[[nodiscard]] std::string target_xml(const RegisterMap& map);

}  // namespace vmm::gdb

// qXfer:threads: every thread with its name and state, in one document.
#pragma once

#include <string>

#include "vmm/gdb/session_context.h"

namespace vmm::gdb {

[[nodiscard]] std::string threads_xml(SessionContext& context);

}  // namespace vmm::gdb

// T and W: why everything stands still.
#pragma once

#include "vmm/gdb/session_context.h"

namespace vmm::gdb {

/// The answer to `?` and to a resume. T carries rbp, rsp and rip, so that a debugger that steps needs no `g`.
[[nodiscard]] Reply stop_reply(SessionContext& context, const StopEvent& event);

}  // namespace vmm::gdb

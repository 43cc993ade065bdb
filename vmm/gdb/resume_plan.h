// vCont, and the older c, C, s and S: who runs, who steps, who stays.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/gdb/target.h"
#include "vmm/gdb/thread_selector.h"

namespace vmm::gdb {

/// What `vCont?` is answered with.
inline constexpr std::string_view kResumeActions = "vCont;c;C;s;S;t;r";

/// `actions` is what follows `vCont`, from its first `;` on. For each of `threads` the leftmost action that
/// matches it counts; one that none matches stays stopped, and so does one whose action is `t`. Signals are
/// taken and dropped: a machine has none. Invalid: anything malformed, or nobody would run.
[[nodiscard]] uvm::Result<std::vector<ThreadAction>> plan_resume(std::string_view actions,
                                                                 std::span<const ThreadInfo> threads);

/// `packet` is a whole c, C, s or S without an address. `resumed` is Hc's selection: one thread means that
/// only it moves, everything else that all do, of which s steps `current`.
[[nodiscard]] uvm::Result<std::vector<ThreadAction>> plan_old_resume(std::string_view packet,
                                                                     std::span<const ThreadInfo> threads,
                                                                     const ThreadSelector& resumed,
                                                                     ThreadId current);

}  // namespace vmm::gdb

// The other side of the API's socket: one request, one answer.
#pragma once

#include <functional>
#include <string>

#include "uvm/base/error.h"
#include "vmm/api/message.h"

namespace vmm::api {

/// Waits for the answer. An answer that is a refusal is an Invalid error in its words. Errors besides:
/// NotFound, Permission (nobody listens at `socket`, or not to us), System; Busy (no answer within a minute).
[[nodiscard]] uvm::Result<std::string> ask(const std::string& socket, const Request& request);

/// Calls `take` for every line that comes, until it says no more (false), or the other side does.
[[nodiscard]] uvm::Status follow(const std::string& socket, const std::string& path,
                                 const std::function<bool(const std::string& line)>& take);

}  // namespace vmm::api

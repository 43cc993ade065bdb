// The file of PUT /metrics, to which FlushMetrics appends.
#pragma once

#include <string>
#include <string_view>

#include "uvm/base/error.h"

namespace vmm::api {

/// One line of JSON: {"utc_timestamp_ms": N, "metrics": {"uvmm_pins": 0, "uvmm_faults_total{case=\"1A\"}": 3,
/// …}}, from Prometheus' text. Errors: Invalid (no path), System, Permission.
[[nodiscard]] uvm::Status append_metrics(const std::string& path, std::string_view text);

}  // namespace vmm::api

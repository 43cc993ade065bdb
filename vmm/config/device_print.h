// The other direction of device_json.h.
#pragma once

#include <boost/json/fwd.hpp>
#include <boost/json/string.hpp>
#include <string_view>

#include "vmm/machine/config.h"

namespace vmm::config {

[[nodiscard]] boost::json::string text(std::string_view value);

/// The sections of the devices that the configuration has.
void add_devices(const MachineConfig& config, boost::json::object& top);

}  // namespace vmm::config

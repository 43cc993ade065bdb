// What a machine's own parts count, as metrics.
#pragma once

#include <string>

#include "vmm/machine/machine.h"
#include "vmm/metrics.h"
#include "vmm/virtio/net/interface.h"
#include "vmm/virtio/vsock/socket_device.h"

namespace vmm {

/// Adds faults, memory, pins, exits and timings to `parts.metrics`. The parts outlive what reads them.
void add_machine_metrics(Machine::Parts& parts);

/// Of one device, which `label` names ("device=\"net0\"").
void add_network(const virtio::net::Counters& counters, const std::string& label, MetricWriter& writer);
void add_sockets(const virtio::vsock::Counters& counters, const std::string& label, MetricWriter& writer);

/// Members of a JSON object: the few numbers that an overview of several guests shows. Bytes, and counts
/// since the start. Measures residency, as a memory map does.
[[nodiscard]] std::string counters_json(Machine::Parts& parts);

}  // namespace vmm

// Lets device processes in, on a thread of its own.
#pragma once

#include <memory>
#include <string>

#include "uvm/base/error.h"
#include "vmm/packet_server.h"
#include "vmm/pins/session.h"

namespace vmm::pins {

/// Listens from here on at `path`, and answers from start() on; with a connection ends every pin of it.
/// Errors: those of PacketServer::create().
[[nodiscard]] uvm::Result<std::unique_ptr<PacketServer>> serve(const std::string& path,
                                                               Environment environment);

}  // namespace vmm::pins

#include "vmm/api/routes.h"

#include <array>

#include "vmm/api/memory_routes.h"

namespace vmm::api {
namespace {

constexpr std::array kRoutes = {
    Route{Method::Get, "/", Phase::Any, Body::None, get_instance},
    Route{Method::Get, "/version", Phase::Any, Body::None, get_version},
    Route{Method::Get, "/vm/config", Phase::Any, Body::None, get_config},
    Route{Method::Get, "/machine-config", Phase::Any, Body::None, get_machine_config},
    Route{Method::Get, "/balloon", Phase::Any, Body::None, get_balloon},
    Route{Method::Get, "/balloon/statistics", Phase::Running, Body::None, get_balloon_statistics},

    Route{Method::Put, "/boot-source", Phase::BeforeBoot, Body::Needed, put_boot_source},
    Route{Method::Put, "/machine-config", Phase::BeforeBoot, Body::Needed, put_machine_config},
    Route{Method::Patch, "/machine-config", Phase::BeforeBoot, Body::Needed, patch_machine_config},
    Route{Method::Put, "/drives/{drive_id}", Phase::BeforeBoot, Body::Needed, put_drive},
    Route{Method::Put, "/network-interfaces/{iface_id}", Phase::BeforeBoot, Body::Needed, put_network},
    Route{Method::Put, "/pmem/{id}", Phase::BeforeBoot, Body::Needed, put_pmem},
    Route{Method::Put, "/vsock", Phase::BeforeBoot, Body::Needed, put_vsock},
    Route{Method::Put, "/balloon", Phase::BeforeBoot, Body::Needed, put_balloon},
    Route{Method::Put, "/entropy", Phase::BeforeBoot, Body::Needed, put_entropy},
    Route{Method::Put, "/logger", Phase::Any, Body::Needed, put_logger},
    Route{Method::Put, "/metrics", Phase::Any, Body::Needed, put_metrics},
    Route{Method::Put, "/snapshot/load", Phase::BeforeBoot, Body::Needed, load_snapshot},
    Route{Method::Put, "/actions", Phase::Any, Body::Needed, put_action},

    Route{Method::Patch, "/vm", Phase::Running, Body::Needed, patch_vm},
    Route{Method::Patch, "/drives/{drive_id}", Phase::Running, Body::Needed, patch_drive},
    Route{Method::Patch, "/network-interfaces/{iface_id}", Phase::Running, Body::Needed, patch_network},
    Route{Method::Patch, "/balloon", Phase::Any, Body::Needed, patch_balloon},
    Route{Method::Patch, "/balloon/statistics", Phase::Any, Body::Needed, patch_balloon_statistics},
    Route{Method::Put, "/snapshot/create", Phase::Running, Body::Needed, create_snapshot},

    Route{Method::Put, "/vm/fork", Phase::Running, Body::Optional, put_fork},
    Route{Method::Put, "/vm/checkpoint", Phase::Running, Body::Optional, put_checkpoint},
    Route{Method::Put, "/vm/reset", Phase::Running, Body::Optional, put_reset},
    Route{Method::Get, "/memory/map", Phase::Running, Body::None, get_map},
    Route{Method::Get, "/memory/tiles", Phase::Running, Body::None, get_tiles},
    Route{Method::Get, "/memory/stats", Phase::Running, Body::None, get_statistics},
    Route{Method::Get, "/memory/pins", Phase::Running, Body::None, get_pins},
    Route{Method::Get, "/debug", Phase::Any, Body::None, get_debugger},
    Route{Method::Get, "/metrics", Phase::Running, Body::None, get_metrics},
    Route{Method::Get, "/ui", Phase::Any, Body::None, get_page},
    Route{Method::Get, "/events", Phase::Any, Body::None, get_events},
};

}  // namespace

std::span<const Route> routes() {
  return kRoutes;
}

}  // namespace vmm::api

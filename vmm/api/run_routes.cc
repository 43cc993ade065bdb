// Requests that start a guest, and those to one that runs.
#include <algorithm>
#include <boost/json/value.hpp>
#include <filesystem>
#include <limits>
#include <utility>

#include "vmm/api/body.h"
#include "vmm/api/metrics_file.h"
#include "vmm/api/routes.h"
#include "vmm/config/config_json.h"
#include "vmm/config/validate.h"
#include "vmm/machine/machine_shape.h"
#include "vmm/snapshot/snapshot_files.h"
#include "vmm/text.h"

namespace vmm::api {
namespace {

using uvm::Error;
using uvm::ErrorKind;
using uvm::Result;

Result<Answer> start(const Call& call) {
  if (call.controller.guest() != nullptr) {
    return Error(ErrorKind::Invalid, "The requested operation is not supported after starting the microVM.");
  }
  UVMM_CHECK(config::validate(call.controller.config()));
  UVMM_CHECK(call.controller.launch(Launch{call.controller.config(), std::nullopt}));
  return no_content();
}

Result<Answer> running_only() {
  return Error(ErrorKind::Invalid, "The requested operation is not supported before starting the microVM.");
}

/// Where the memory of a snapshot is: mem_file_path, or mem_backend of the type File.
Result<std::string> memory_path_in(const BodyReader& body) {
  if (!body.has("mem_backend")) return body.text("mem_file_path");
  if (body.has("mem_file_path")) {
    return Error(ErrorKind::Invalid, "the body has both mem_backend and mem_file_path", "give one of them");
  }
  UVMM_TRY(const BodyReader backend, body.object("mem_backend", {"backend_type", "backend_path"}));
  UVMM_TRY(const std::size_t type, backend.word("backend_type", {"File", "Uffd"}));
  if (type != 0) {
    return Error(
        ErrorKind::Unsupported,
        "mem_backend.backend_type Uffd is not supported: pages come from the file as they are needed",
        "set it to File");
  }
  return backend.text("backend_path");
}

/// Two files as create_snapshot() makes them; or a directory of `uvmm snapshot`, which knows its memory.
Result<snapshot::SavedImage> read(const BodyReader& body, const std::string& state_path) {
  std::error_code error;
  if (std::filesystem::is_directory(state_path, error)) {
    return snapshot::read_snapshot(state_path, snapshot::Verify::Begin);
  }
  UVMM_TRY(const std::string memory_path, memory_path_in(body));
  return snapshot::read_snapshot_pair(state_path, memory_path, snapshot::Verify::Begin);
}

/// Other ends on the host for devices that the guest has.
uvm::Status override_devices(const BodyReader& body, MachineConfig& config) {
  UVMM_TRY(const auto networks, body.objects("network_overrides", {"iface_id", "host_dev_name"}));
  for (const BodyReader& each : networks) {
    UVMM_TRY(const std::string id, each.text("iface_id"));
    const auto network = std::ranges::find(config.networks, id, &virtio::net::Options::id);
    if (network == config.networks.end()) {
      return Error(ErrorKind::NotFound, "network_overrides: the guest has no interface " + one_line(id));
    }
    UVMM_TRY(network->tap, each.text("host_dev_name"));
  }
  if (body.has("vsock_override")) {
    UVMM_TRY(const BodyReader vsock, body.object("vsock_override", {"uds_path"}));
    if (!config.vsock) return Error(ErrorKind::NotFound, "vsock_override: the guest has no vsock");
    UVMM_TRY(config.vsock->socket, vsock.text("uds_path"));
  }
  return config::validate_so_far(config);
}

/// The configuration, which has a balloon.
Result<MachineConfig> with_balloon(const Call& call) {
  if (call.controller.config().balloon) return call.controller.config();
  return no_balloon();
}

}  // namespace

Result<Answer> put_action(const Call& call) {
  UVMM_TRY(const BodyReader body, BodyReader::of(call.body, {"action_type"}));
  UVMM_TRY(const std::size_t action,
           body.word("action_type", {"InstanceStart", "FlushMetrics", "SendCtrlAltDel"}));
  if (action == 0) return start(call);
  if (call.controller.guest() == nullptr) return running_only();
  if (action == 2) {
    call.guest().press_power_button();
    return no_content();
  }
  UVMM_CHECK(append_metrics(call.controller.metrics_path, call.guest().metrics()));
  return no_content();
}

Result<Answer> patch_vm(const Call& call) {
  UVMM_TRY(const BodyReader body, BodyReader::of(call.body, {"state"}));
  UVMM_TRY(const std::size_t state, body.word("state", {"Paused", "Resumed"}));
  if (state == 0) {
    call.guest().pause();
  } else {
    call.guest().resume();
  }
  return no_content();
}

Result<Answer> patch_drive(const Call& call) {
  UVMM_TRY(const BodyReader body, BodyReader::of(call.body, {"drive_id", "path_on_host", "rate_limiter"}));
  UVMM_TRY(const std::string id, body.text_or("drive_id", call.id));
  if (id != call.id) {
    return Error(ErrorKind::Invalid,
                 "The id from the path [" + call.id + "] does not match the id from the body [" + id + "]!");
  }
  UVMM_CHECK(body.empty("rate_limiter", "devices are as fast as the host"));
  if (!body.has("path_on_host")) return no_content();
  UVMM_TRY(const std::string path, body.text("path_on_host"));
  UVMM_CHECK(call.guest().change_drive(id, path));
  MachineConfig config = call.controller.config();
  const auto drive = std::ranges::find(config.drives, id, &virtio::blk::Options::id);
  if (drive == config.drives.end()) return no_content();
  drive->path = path;
  UVMM_CHECK(call.controller.accept(std::move(config)));
  return no_content();
}

Result<Answer> patch_network(const Call& call) {
  UVMM_TRY(const BodyReader body,
           BodyReader::of(call.body, {"iface_id", "rx_rate_limiter", "tx_rate_limiter"}));
  for (const char* const limiter : {"rx_rate_limiter", "tx_rate_limiter"}) {
    UVMM_CHECK(body.empty(limiter, "devices are as fast as the host"));
  }
  return no_content();
}

Result<Answer> patch_balloon(const Call& call) {
  UVMM_TRY(const BodyReader body, BodyReader::of(call.body, {"amount_mib"}));
  UVMM_TRY(const std::uint64_t mebibytes,
           body.number("amount_mib", 0, std::numeric_limits<std::uint32_t>::max()));
  UVMM_TRY(MachineConfig config, with_balloon(call));
  config.balloon->bytes = mebibytes << 20U;
  UVMM_CHECK(config::validate_so_far(config));
  if (call.controller.guest() != nullptr) UVMM_CHECK(call.guest().resize_balloon(config.balloon->bytes));
  UVMM_CHECK(call.controller.accept(std::move(config)));
  return no_content();
}

Result<Answer> patch_balloon_statistics(const Call& call) {
  UVMM_TRY(const BodyReader body, BodyReader::of(call.body, {"stats_polling_interval_s"}));
  UVMM_TRY(const std::uint64_t seconds,
           body.number("stats_polling_interval_s", 0, std::numeric_limits<std::uint16_t>::max()));
  UVMM_TRY(MachineConfig config, with_balloon(call));
  config.balloon->statistics_seconds = static_cast<std::uint32_t>(seconds);
  if (call.controller.guest() != nullptr) {
    UVMM_CHECK(call.guest().set_balloon_interval(config.balloon->statistics_seconds));
  }
  UVMM_CHECK(call.controller.accept(std::move(config)));
  return no_content();
}

Result<Answer> create_snapshot(const Call& call) {
  UVMM_TRY(const BodyReader body,
           BodyReader::of(call.body, {"snapshot_type", "snapshot_path", "mem_file_path"}));
  if (body.has("snapshot_type")) {
    UVMM_TRY(const std::size_t type, body.word("snapshot_type", {"Full", "Diff"}));
    if (type != 0) {
      return Error(ErrorKind::Unsupported, "snapshot_type Diff is not supported",
                   "take a Full one, or `uvmm snapshot --base` for one that builds on another");
    }
  }
  SnapshotPlace place;
  UVMM_TRY(place.state_path, body.text("snapshot_path"));
  UVMM_TRY(place.memory_path, body.text("mem_file_path"));
  if (!call.guest().paused()) {
    return Error(ErrorKind::Invalid, "The microVM must be paused before a snapshot of it is made.",
                 "PATCH /vm with the state Paused");
  }
  UVMM_CHECK(call.guest().snapshot(place));
  return no_content();
}

Result<Answer> load_snapshot(const Call& call) {
  if (call.controller.configured()) {
    return Error(ErrorKind::Invalid,
                 "Loading a microVM snapshot not allowed after configuring boot-specific resources.");
  }
  UVMM_TRY(const BodyReader body,
           BodyReader::of(call.body, {"snapshot_path", "mem_file_path", "mem_backend", "resume_vm",
                                      "enable_diff_snapshots", "track_dirty_pages", "clock_realtime",
                                      "network_overrides", "vsock_override"}));
  UVMM_TRY(const bool resume, body.truth_or("resume_vm", false));
  UVMM_TRY(const bool realtime, body.truth_or("clock_realtime", false));
  for (const char* const key : {"enable_diff_snapshots", "track_dirty_pages"}) {
    UVMM_CHECK(body.truth_or(key, false));
  }
  UVMM_TRY(const std::string state_path, body.text("snapshot_path"));
  UVMM_TRY(snapshot::SavedImage saved, read(body, state_path));
  UVMM_TRY(const MachineShape shape, MachineShape::read(saved.description));
  MachineConfig config = shape.applied_to(call.controller.config());
  config.clock = realtime ? ClockPolicy::Host : ClockPolicy::Continue;
  config.restore = state_path;
  UVMM_CHECK(override_devices(body, config));
  config.control.at_start = resume ? control::AtStart::Run : control::AtStart::Paused;
  UVMM_CHECK(call.controller.launch(Launch{
      std::move(config), MachineImage{std::move(saved.description), std::move(saved.memory), {}, {}}}));
  return no_content();
}

}  // namespace vmm::api

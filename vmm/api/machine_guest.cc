#include "vmm/api/machine_guest.h"

#include "vmm/api/memory_json.h"
#include "vmm/machine/checkpoints.h"
#include "vmm/machine/pause_switch.h"
#include "vmm/metrics.h"
#include "vmm/snapshot/snapshot_files.h"

namespace vmm::api {
namespace {

using uvm::Error;
using uvm::ErrorKind;

}  // namespace

bool MachineGuest::paused() const {
  return doors_.pauses.paused();
}

void MachineGuest::pause() {
  doors_.pauses.pause();
}

void MachineGuest::resume() {
  doors_.pauses.resume();
}

void MachineGuest::press_power_button() {
  doors_.press_power_button();
}

uvm::Status MachineGuest::snapshot(const SnapshotPlace& place) {
  UVMM_TRY(const MachineImage image, doors_.take_image());
  UVMM_CHECK(snapshot::write_snapshot_pair(place.state_path, place.memory_path, image.state, image.memory));
  return uvm::ok();
}

uvm::Result<control::Child> MachineGuest::fork() {
  if (doors_.start_copy) return doors_.start_copy();
  return Error(ErrorKind::Unsupported, "this machine has no control socket, which its copies come from",
               "leave --control none out");
}

uvm::Status MachineGuest::checkpoint(const std::string& name) {
  return doors_.checkpoints.take(name);
}

uvm::Status MachineGuest::reset(const std::string& name) {
  return doors_.checkpoints.reset(name);
}

uvm::Status MachineGuest::change_drive(const std::string& id, const std::string& path) {
  if (doors_.change_drive) return doors_.change_drive(id, path);
  return Error(ErrorKind::Unsupported, "no drive of this machine can be changed while the guest runs",
               "give it its image before the start");
}

uvm::Status MachineGuest::resize_balloon(std::uint64_t bytes) {
  return doors_.resize_balloon ? doors_.resize_balloon(bytes) : no_balloon();
}

uvm::Status MachineGuest::set_balloon_interval(std::uint32_t seconds) {
  return doors_.set_balloon_interval ? doors_.set_balloon_interval(seconds) : no_balloon();
}

uvm::Result<std::string> MachineGuest::balloon_statistics() {
  if (!doors_.balloon_json) return no_balloon();
  return "{" + doors_.balloon_json() + "}";
}

std::string MachineGuest::memory_map() {
  return memory_map_json(doors_.space);
}

std::string MachineGuest::memory_tiles() {
  return doors_.tiles_json();
}

std::string MachineGuest::memory_statistics() {
  return memory_statistics_json(doors_.space, control::take_census(doors_.resident_pages()));
}

std::string MachineGuest::pins() {
  return pins_json(doors_.space);
}

std::string MachineGuest::metrics() {
  return doors_.metrics.text();
}

}  // namespace vmm::api

#include "vmm/machine/checkpoints.h"

#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>
#include <chrono>
#include <set>
#include <utility>

#include "vmm/machine/devices_at_rest.h"
#include "vmm/machine/generation.h"
#include "vmm/machine/machine_state.h"
#include "vmm/machine/parts.h"
#include "vmm/machine/resident_pages.h"

namespace vmm {
namespace {

/// `"name": "…"`
std::string name_member(const std::string& name) {
  return "\"name\": " + boost::json::serialize(boost::json::string(name));
}

}  // namespace

uvm::Error Checkpoints::unknown(const std::string& name) {
  return {uvm::ErrorKind::NotFound,
          name.empty() ? "there is no checkpoint" : "there is no checkpoint '" + name + "'",
          "take one first"};
}

uvm::Status Checkpoints::take(const std::string& name) {
  const uvm::MutexLock lock(mutex_);
  UVMM_CHECK(check_disks(parts_, DisksFor::Checkpoint));
  const auto begin = std::chrono::steady_clock::now();
  std::vector<DiskMoment> disks;
  const auto remember = [&]() -> uvm::Status {
    UVMM_TRY(disks, remember_disks(parts_));
    return uvm::ok();
  };
  UVMM_TRY(auto image, take_image(parts_, remember));
  UVMM_TRY(auto view, snapshot::ImageView::create(image.memory));
  checkpoints_.insert_or_assign(name,
                                Checkpoint{std::move(image.state), std::move(view), std::move(disks), 0});
  parts_.timings.checkpoints.add(std::chrono::steady_clock::now() - begin);
  parts_.events.tell("checkpoint", name_member(name));
  return uvm::ok();
}

uvm::Status Checkpoints::reset(const std::string& name) {
  const uvm::MutexLock lock(mutex_);
  const auto found = checkpoints_.find(name);
  if (found == checkpoints_.end()) return unknown(name);
  UVMM_CHECK(check_moments(parts_, found->second.disks));
  const auto begin = std::chrono::steady_clock::now();
  const VcpuPause pause(*parts_.vcpus);
  const DevicesAtRest devices(parts_);
  UVMM_TRY(const auto no_traps, parts_.inferior->suspend_traps());
  // Before the devices, which look whether the disks are as they were.
  UVMM_CHECK(put_back_disks(found->second.disks));
  UVMM_CHECK(restore_state(parts_, found->second.state, ClockPolicy::Continue));
  // Behind the vCPUs: KVM writes the guest's clock pages while their MSRs are set.
  UVMM_CHECK(parts_.memory->reset_to(found->second.memory));
  UVMM_CHECK(renew_generation(parts_, devices::Tell::Guest));
  ++found->second.resets;
  parts_.timings.resets.add(std::chrono::steady_clock::now() - begin);
  parts_.events.tell("reset", name_member(name));
  return uvm::ok();
}

uvm::Status Checkpoints::drop(const std::string& name) {
  const uvm::MutexLock lock(mutex_);
  return checkpoints_.erase(name) != 0 ? uvm::ok() : uvm::Status(unknown(name));
}

CheckpointInfo Checkpoints::describe(const std::string& name, const Checkpoint& checkpoint) const {
  const snapshot::MemoryImage& image = checkpoint.memory.image();
  std::set<snapshot::MemoryObject> elsewhere;
  for (const auto& object : parts_.memory->objects()) elsewhere.insert(object);
  for (const auto& [other, there] : checkpoints_) {
    if (other == name) continue;
    for (const auto& object : snapshot::objects_of(there.memory.image())) elsewhere.insert(object);
  }
  CheckpointInfo info;
  info.name = name;
  info.copied = image.changed_pages() * uvm::kPageSize;
  info.resets = checkpoint.resets;
  for (const auto& object : snapshot::objects_of(image)) {
    (elsewhere.contains(object) ? info.shared : info.held) += snapshot::held_by(*object);
  }
  return info;
}

std::vector<CheckpointInfo> Checkpoints::list() const {
  const uvm::MutexLock lock(mutex_);
  std::vector<CheckpointInfo> all;
  for (const auto& [name, checkpoint] : checkpoints_) all.push_back(describe(name, checkpoint));
  return all;
}

}  // namespace vmm

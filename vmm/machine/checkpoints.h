// Moments of a machine that it can be brought back to, again and again.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/base/lock.h"
#include "vmm/machine/disk_moments.h"
#include "vmm/machine/machine.h"
#include "vmm/machine/machine_image.h"

namespace vmm {

/// What a checkpoint costs, as listings show it.
struct CheckpointInfo {
  std::string name;
  std::uint64_t copied = 0;  // bytes of memory it has copies of
  // Bytes of host memory it keeps alive:
  std::uint64_t held = 0;    // alone, the copies and room beside them: what dropping it gives back
  std::uint64_t shared = 0;  // with its machine, and whoever has that memory besides, or other checkpoints
  std::uint64_t resets = 0;
};

/// Each by its name; they do not depend on each other. Taking one copies the pages that are private by then
/// (none the first time, where RAM can be frozen); a reset copies back the pages written since, where they
/// are; so it is with disks. Thread: any but a vCPU's; they pause the machine themselves.
class Checkpoints {
 public:
  /// `parts` outlive it.
  explicit Checkpoints(Machine::Parts& parts) : parts_(parts) {}

  /// Now becomes the checkpoint of that name. Errors: as take_image(); the one before stays.
  [[nodiscard]] uvm::Status take(const std::string& name) EXCLUDES(mutex_);
  /// Memory, devices and disks are what they were; output that has left the machine stays out. Errors:
  /// NotFound, those of check_moments(); those of put_back_disks(), GuestMemory::reset_to() and
  /// restore_state(), after which the machine is of no use.
  [[nodiscard]] uvm::Status reset(const std::string& name) EXCLUDES(mutex_);
  /// Errors: NotFound.
  [[nodiscard]] uvm::Status drop(const std::string& name) EXCLUDES(mutex_);
  [[nodiscard]] std::vector<CheckpointInfo> list() const EXCLUDES(mutex_);

 private:
  struct Checkpoint {
    std::vector<std::byte> state;
    snapshot::ImageView memory;
    std::vector<DiskMoment> disks;
    std::uint64_t resets = 0;
  };
  [[nodiscard]] static uvm::Error unknown(const std::string& name);
  [[nodiscard]] CheckpointInfo describe(const std::string& name, const Checkpoint& checkpoint) const
      REQUIRES(mutex_);

  Machine::Parts& parts_;
  mutable uvm::Mutex mutex_{uvm::LockRank::Machine};
  std::map<std::string, Checkpoint> checkpoints_ GUARDED_BY(mutex_);
};

}  // namespace vmm

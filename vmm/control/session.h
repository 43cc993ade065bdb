// What can be asked of a running machine, and the answers. Knows no socket.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/control/children.h"
#include "vmm/control/family.h"
#include "vmm/kvm/fd.h"
#include "vmm/machine/machine_image.h"
#include "vmm/machine/resident_pages.h"
#include "vmm/pin_client/message.h"

namespace vmm {
class Checkpoints;
class Events;
class MetricSources;
class PauseSwitch;
}  // namespace vmm
namespace uvm {
class Space;
}

namespace vmm::control {

/// The machine as it is now, for copies that are to run at once.
struct ForkedImage {
  MachineImage image;
  /// Options::inherited of each copy's gdb server; empty when no debugger follows.
  std::vector<Fd> debuggers;
};

/// A machine's doors: what its control socket and its API may do with it. Outlives them. The functions may
/// be called on any thread but a vCPU's, several at once.
struct Environment {
  std::string name;
  Checkpoints& checkpoints;
  std::shared_ptr<const Family> family;
  std::function<uvm::Result<MachineImage>()> take_image;
  std::function<uvm::Result<ForkedImage>(std::uint32_t copies)> fork;
  /// A descriptor of an image's object for another process; let_go() from time to time, as long as it says
  /// so.
  std::function<uvm::Result<Fd>(const snapshot::MemoryObject& object)> lend;
  std::function<bool()> let_go;
  std::function<uvm::Result<ResidentPages>()> resident_pages;
  std::function<std::string()> status_json;    // members of an object, `"vcpus": 2, …`
  std::function<std::string()> counters_json;  // the same of what `uvmm top` shows
  /// A copy in a process of its own; empty where none can be started.
  std::function<uvm::Result<Child>()> start_copy;
  std::function<void()> press_power_button;
  // Of devices; empty where there is none that can.
  std::function<uvm::Status(const std::string& id, const std::string& path)> change_drive;
  std::function<uvm::Status(std::uint64_t bytes)> resize_balloon;
  std::function<uvm::Status(std::uint32_t seconds)> set_balloon_interval;
  std::function<std::string()> balloon_json;  // members of an object: its size, and what its guest tells
  std::function<std::string()> tiles_json;    // see memory_tiles_json()
  std::function<void()> quit;
  PauseSwitch& pauses;
  uvm::Space& space;
  Events& events;
  const MetricSources& metrics;
};

/// One connection's. Verbs:
///   status                  what the machine is
///   pause, resume           of the machine, not of the connection: paused twice is paused
///   checkpoint, reset, drop {"name": TEXT}, by default ""
///   counters                what `uvmm top` shows
///   balloon                 {"bytes": N}: how much the guest is to give back; without it, what it has given
///   family                  how many forks there may be; descriptor: where one takes its place
///   memory                  which pages are in host memory; descriptor: see ResidentPages::decode()
///   tiles                   its memory as tiles; descriptor: memory_tiles_json() of "description" bytes
///   image                   the machine as it is; descriptors: the description, then the objects
///   fork                    {"copies": N}: the same; then the files of "disks", in that order; the debugger
///                           that is there is told of N copies, and the last "debuggers" descriptors (N or 0)
///                           are where each of them meets it
///   quit                    the machine ends as if the console had been left
class Session {
 public:
  explicit Session(const Environment& environment) : environment_(environment) {}

  [[nodiscard]] pins::Message answer(const pins::Message& request);

 private:
  const Environment& environment_;
};

}  // namespace vmm::control

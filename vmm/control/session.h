// What can be asked of a running machine, and the answers. Knows no socket.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/control/family.h"
#include "vmm/kvm/fd.h"
#include "vmm/machine/machine_image.h"
#include "vmm/machine/resident_pages.h"
#include "vmm/pin_client/message.h"

namespace vmm {
class Checkpoints;
}

namespace vmm::control {

/// The machine as it is now, for copies that are to run at once.
struct ForkedImage {
  MachineImage image;
  /// Options::inherited of each copy's gdb server; empty when no debugger follows.
  std::vector<Fd> debuggers;
};

/// What a session may do with the machine. Outlives it; the functions are called on the server's thread.
struct Environment {
  std::string name;
  Checkpoints& checkpoints;
  std::shared_ptr<const Family> family;
  std::function<uvm::Result<MachineImage>()> take_image;
  std::function<uvm::Result<ForkedImage>(std::uint32_t copies)> fork;
  std::function<uvm::Result<ResidentPages>()> resident_pages;
  std::function<std::string()> status_json;  // members of an object, `"vcpus": 2, …`
  std::function<void()> pause;
  std::function<void()> resume;
  std::function<void()> quit;
};

/// One connection's. Verbs:
///   status                  what the machine is
///   pause, resume           of the machine, not of the connection: paused twice is paused
///   checkpoint, reset, drop {"name": TEXT}, by default ""
///   family                  how many forks there may be; descriptor: where one takes its place
///   memory                  which pages are in host memory; descriptor: see ResidentPages::decode()
///   image                   the machine as it is; descriptors: the description, then the objects
///   fork                    {"copies": N}: the same; the debugger that is there is told of N copies, and the
///                           last "debuggers" descriptors (N or 0) are where each of them meets it
///   quit                    the machine ends as if the console had been left
class Session {
 public:
  /// `paused` is the server's: whether this socket keeps the machine paused.
  Session(const Environment& environment, bool& paused) : environment_(environment), paused_(paused) {}

  [[nodiscard]] pins::Message answer(const pins::Message& request);

 private:
  const Environment& environment_;
  bool& paused_;
};

}  // namespace vmm::control

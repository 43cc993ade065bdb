// The other side of a control socket.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/control/family.h"
#include "vmm/control/session.h"
#include "vmm/machine/machine_image.h"
#include "vmm/machine/resident_pages.h"

namespace vmm::control {

/// Who is asked, and how long.
struct Asking {
  std::chrono::milliseconds patience{0};  // for each step; 0: for ever
  pid_t never = 0;                        // a process that is not asked: NotFound; 0: everybody is
};

/// Of those who ask every machine that runs here: one that is stopped, or debugged, may not hold them up.
inline constexpr Asking kBriefly{std::chrono::seconds(1)};

/// Asks one thing; the answer's JSON object as text. Errors: NotFound, Permission (nobody listens at
/// `socket`, or not to us); Busy (no answer in time); what the machine refused, in its words, as Invalid.
[[nodiscard]] uvm::Result<std::string> ask(const std::string& socket, const std::string& verb,
                                           const std::string& name = {}, const Asking& asking = {});

/// What a machine of the run directory says.
struct Answered {
  std::string socket;
  std::optional<std::string>
      answer;  // nothing: it takes its time; its process is stopped, or a debugger has it
};
/// Asks all machines that run here, briefly. Sockets whose machine has gone are not told of.
[[nodiscard]] std::vector<Answered> ask_everybody(const std::string& verb);

/// How much the guest is to give back (nothing: as before), and what its balloon says, as ask() answers.
/// Errors: as ask().
[[nodiscard]] uvm::Result<std::string> ask_balloon(const std::string& socket,
                                                   std::optional<std::uint64_t> bytes);

/// Where forks of the machine take their places, before they ask for its image. Errors: as ask().
[[nodiscard]] uvm::Result<std::shared_ptr<const Family>> fetch_family(const std::string& socket);

/// What of the machine is in host memory now. Errors: as ask(); Invalid; Busy (no answer in time).
[[nodiscard]] uvm::Result<ResidentPages> fetch_resident_pages(const std::string& socket,
                                                              const Asking& asking = {});

/// Its memory as tiles, JSON (vmm/machine/tiles_json.h). Errors: as ask(); Invalid.
[[nodiscard]] uvm::Result<std::string> fetch_tiles(const std::string& socket, const Asking& asking = {});

/// The machine as it is now, checked. It goes on.
[[nodiscard]] uvm::Result<MachineImage> fetch_image(const std::string& socket);
/// The same for copies that are to run at once; a debugger that follows them gets to know.
[[nodiscard]] uvm::Result<ForkedImage> fetch_fork(const std::string& socket, std::uint32_t copies);

}  // namespace vmm::control

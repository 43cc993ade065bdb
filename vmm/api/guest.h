// A running machine as the API sees it.
#pragma once

#include <cstdint>
#include <string>

#include "uvm/base/error.h"
#include "vmm/control/children.h"
#include "vmm/events.h"

namespace vmm::api {

/// Where a snapshot goes.
struct SnapshotPlace {
  std::string state_path;
  std::string memory_path;
};

/// Thread: the API's. Errors are one line that a client can be told.
class Guest {
 public:
  virtual ~Guest() = default;

  [[nodiscard]] virtual bool paused() const = 0;
  /// Paused twice is paused.
  virtual void pause() = 0;
  virtual void resume() = 0;
  /// Asks the guest to shut down in good order; it may not listen.
  virtual void press_power_button() = 0;

  [[nodiscard]] virtual uvm::Status snapshot(const SnapshotPlace& place) = 0;
  /// A copy that runs in a process of its own.
  [[nodiscard]] virtual uvm::Result<control::Child> fork() = 0;
  [[nodiscard]] virtual uvm::Status checkpoint(const std::string& name) = 0;
  [[nodiscard]] virtual uvm::Status reset(const std::string& name) = 0;

  /// Another image behind a disk, of the same or another size.
  [[nodiscard]] virtual uvm::Status change_drive(const std::string& id, const std::string& path) = 0;
  [[nodiscard]] virtual uvm::Status resize_balloon(std::uint64_t bytes) = 0;
  /// Between two reports of the guest's.
  [[nodiscard]] virtual uvm::Status set_balloon_interval(std::uint32_t seconds) = 0;

  // JSON.
  [[nodiscard]] virtual uvm::Result<std::string> balloon_statistics() = 0;
  [[nodiscard]] virtual std::string memory_map() = 0;
  [[nodiscard]] virtual std::string memory_tiles() = 0;
  [[nodiscard]] virtual std::string memory_statistics() = 0;
  [[nodiscard]] virtual std::string pins() = 0;
  /// Prometheus' text.
  [[nodiscard]] virtual std::string metrics() = 0;
  [[nodiscard]] virtual Events& events() = 0;
};

/// For whoever asks for what only a balloon can tell or do.
[[nodiscard]] inline uvm::Error no_balloon() {
  return {uvm::ErrorKind::NotFound, "the machine has no balloon",
          "make one with PUT /balloon before it starts"};
}

}  // namespace vmm::api

// The real machine behind the API: its doors.
#pragma once

#include "vmm/api/guest.h"
#include "vmm/control/session.h"

namespace vmm::api {

class MachineGuest final : public Guest {
 public:
  /// The doors outlive it.
  explicit MachineGuest(const control::Environment& doors) : doors_(doors) {}

  [[nodiscard]] bool paused() const override;
  void pause() override;
  void resume() override;
  void press_power_button() override;
  [[nodiscard]] uvm::Status snapshot(const SnapshotPlace& place) override;
  [[nodiscard]] uvm::Result<control::Child> fork() override;
  [[nodiscard]] uvm::Status checkpoint(const std::string& name) override;
  [[nodiscard]] uvm::Status reset(const std::string& name) override;
  [[nodiscard]] uvm::Status change_drive(const std::string& id, const std::string& path) override;
  [[nodiscard]] uvm::Status resize_balloon(std::uint64_t bytes) override;
  [[nodiscard]] uvm::Status set_balloon_interval(std::uint32_t seconds) override;
  [[nodiscard]] uvm::Result<std::string> balloon_statistics() override;
  [[nodiscard]] std::string memory_map() override;
  [[nodiscard]] std::string memory_tiles() override;
  [[nodiscard]] std::string memory_statistics() override;
  [[nodiscard]] std::string pins() override;
  [[nodiscard]] std::string metrics() override;
  [[nodiscard]] Events& events() override { return doors_.events; }

 private:
  const control::Environment& doors_;
};

}  // namespace vmm::api

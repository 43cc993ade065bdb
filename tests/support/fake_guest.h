// A guest and a launcher for the API that need no machine.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "vmm/api/guest.h"
#include "vmm/api/launcher.h"

namespace test {

/// Notes what it is asked for; refuses what `refusal` says, when that is not empty.
class FakeGuest final : public vmm::api::Guest {
 public:
  [[nodiscard]] bool paused() const override { return paused_; }
  void pause() override { paused_ = true; }
  void resume() override { paused_ = false; }
  void press_power_button() override { done.emplace_back("power button"); }
  [[nodiscard]] uvm::Status snapshot(const vmm::api::SnapshotPlace& place) override {
    return note("snapshot " + place.state_path + " " + place.memory_path);
  }
  [[nodiscard]] uvm::Result<vmm::control::Child> fork() override {
    UVMM_CHECK(note("fork"));
    return vmm::control::Child{7, "/run/copy.sock", "/run/copy.gdb"};
  }
  [[nodiscard]] uvm::Status checkpoint(const std::string& name) override {
    return note("checkpoint " + name);
  }
  [[nodiscard]] uvm::Status reset(const std::string& name) override { return note("reset " + name); }
  [[nodiscard]] uvm::Status change_drive(const std::string& id, const std::string& path) override {
    return note("drive " + id + " " + path);
  }
  [[nodiscard]] uvm::Status resize_balloon(std::uint64_t bytes) override {
    return note("balloon " + std::to_string(bytes));
  }
  [[nodiscard]] uvm::Status set_balloon_interval(std::uint32_t seconds) override {
    return note("balloon reports every " + std::to_string(seconds) + " s");
  }
  [[nodiscard]] uvm::Result<std::string> balloon_statistics() override {
    return std::string(R"({"target_mib": 16, "free_memory": 4096})");
  }
  [[nodiscard]] std::string memory_map() override { return R"({"mappings": [], "totals": {}})"; }
  [[nodiscard]] std::string memory_tiles() override { return R"({"runs": []})"; }
  [[nodiscard]] std::string memory_statistics() override { return R"({"bytes": {}})"; }
  [[nodiscard]] std::string pins() override { return R"({"pins": []})"; }
  [[nodiscard]] std::string metrics() override { return "# TYPE uvmm_pins gauge\nuvmm_pins 3\n"; }
  [[nodiscard]] vmm::Events& events() override { return events_; }

  std::vector<std::string> done;
  std::string refusal;

 private:
  uvm::Status note(std::string what) {
    if (!refusal.empty()) return uvm::Error(uvm::ErrorKind::Unsupported, refusal);
    done.push_back(std::move(what));
    return uvm::ok();
  }

  vmm::Events events_{"fake"};
  bool paused_ = false;
};

class FakeLauncher final : public vmm::api::Launcher {
 public:
  [[nodiscard]] uvm::Result<vmm::api::Guest*> start(vmm::api::Launch launch) override {
    launched.push_back(std::move(launch.config));
    if (!refusal.empty()) return uvm::Error(uvm::ErrorKind::Invalid, refusal);
    return &guest;
  }

  FakeGuest guest;
  std::vector<vmm::MachineConfig> launched;
  std::string refusal;
};

}  // namespace test

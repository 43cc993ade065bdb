// What a request does, and when it may. Knows no socket.
#pragma once

#include <string>
#include <string_view>

#include "uvm/base/error.h"
#include "vmm/api/guest.h"
#include "vmm/api/launcher.h"
#include "vmm/api/message.h"
#include "vmm/machine/config.h"

namespace vmm::api {

/// The machine that is being configured, then the one that runs. Thread: the API's.
class Controller {
 public:
  /// `config` is what the command line says; requests change it. The launcher outlives this.
  Controller(MachineConfig config, Launcher& launcher) : config_(std::move(config)), launcher_(launcher) {}

  /// Never fails, but for memory: what is wrong is the answer.
  [[nodiscard]] Answer answer(const Request& request);

  /// A guest that runs without having been asked for here; nothing when it has ended.
  void attach(Guest* guest) { guest_ = guest; }
  void detach();
  [[nodiscard]] Guest* guest() const { return guest_; }

  [[nodiscard]] const MachineConfig& config() const { return config_; }

  // For the routes.

  /// A configuration that is possible so far in the place of the one before. Errors: Invalid.
  [[nodiscard]] uvm::Status accept(MachineConfig config);
  /// From here on no snapshot can be loaded.
  void set_configured() { configured_ = true; }
  [[nodiscard]] bool configured() const { return configured_; }
  /// Errors: as Launcher::start().
  [[nodiscard]] uvm::Status launch(Launch launch);
  /// Where FlushMetrics writes; empty: nowhere.
  std::string metrics_path;

 private:
  MachineConfig config_;
  Launcher& launcher_;
  Guest* guest_ = nullptr;
  bool ended_ = false;
  bool configured_ = false;
};

}  // namespace vmm::api

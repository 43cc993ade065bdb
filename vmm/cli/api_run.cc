#include "vmm/cli/api_run.h"

#include <memory>
#include <utility>

#include "vmm/api/launcher.h"
#include "vmm/api/machine_guest.h"
#include "vmm/api/server.h"
#include "vmm/cli/output.h"
#include "vmm/cli/own_process.h"
#include "vmm/cli/run_command.h"
#include "vmm/config/validate.h"
#include "vmm/machine/machine.h"
#include "vmm/machine/machine_image.h"

namespace vmm::cli {
namespace {

/// A machine and its guest side, once there is one.
struct Built {
  std::unique_ptr<Machine> machine;
  std::unique_ptr<api::MachineGuest> guest;
  MachineConfig config;
};

uvm::Result<api::Guest*> build(const api::Launch& launch, api::Server& server, Built& built) {
  UVMM_CHECK(confine_process(launch.config));
  UVMM_TRY(built.machine, launch.image ? Machine::create_from(launch.config, *launch.image)
                                       : Machine::create(launch.config));
  UVMM_CHECK(give_up_rights(launch.config));
  built.guest = std::make_unique<api::MachineGuest>(built.machine->doors());
  built.config = launch.config;
  built.machine->set_at_end([&server] { server.detach(); });
  return built.guest.get();
}

}  // namespace

int run_with_api(const MachineConfig& config, const MachineImage* image) {
  Built built;
  api::MainThread main_thread;
  auto created = api::Server::create(config.api_socket, config, main_thread);
  if (!created) return fail(created.error());
  api::Server& server = **created;
  if (const auto started = server.start(); !started) return fail(started.error());
  if (config::waits_for_start(config) && image == nullptr) {
    const auto signal =
        main_thread.serve([&](const api::Launch& launch) { return build(launch, server, built); });
    if (signal) return 128 + *signal;
  } else {
    api::Launch launch{config, std::nullopt};
    if (image != nullptr) launch.image = *image;
    const auto guest = build(launch, server, built);
    if (!guest) return fail(guest.error());
    server.attach(**guest);
  }
  const int status = run_machine(*built.machine, built.config);
  server.finish();
  return status;
}

}  // namespace vmm::cli

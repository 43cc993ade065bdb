#include "vmm/cli/run_command.h"

#include <unistd.h>

#include <csignal>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "ept/host/start_up_pages.h"
#include "vmm/cli/api_run.h"
#include "vmm/cli/output.h"
#include "vmm/cli/own_process.h"
#include "vmm/config/config_json.h"
#include "vmm/control/run_directory.h"
#include "vmm/log.h"
#include "vmm/machine/machine.h"
#include "vmm/machine/machine_image.h"
#include "vmm/machine/machine_shape.h"
#include "vmm/machine/machine_shell.h"
#include "vmm/snapshot/snapshot_files.h"

namespace vmm::cli {
namespace {

using namespace config;

constexpr std::size_t kLongestSocket = 108;  // sockaddr_un, its NUL included

int fail_with(const uvm::Error& error, ExitStatus status) {
  print_error(error.text());
  return static_cast<int>(status);
}

/// The machine's control socket: what the user says, none for "none", and one in the run directory unless
/// that can't be had.
MachineConfig with_socket(MachineConfig config) {
  std::string& socket = config.control.socket;
  if (socket.empty()) {
    const std::optional<uid_t>& owner = config.confinement.uid;
    const auto usual = owner ? control::default_socket(config.name, ::getpid(), *owner)
                             : control::default_socket(config.name, ::getpid());
    if (usual && usual->size() < kLongestSocket) socket = *usual;
  } else if (socket == "none") {
    socket.clear();
  }
  return config;
}

int run_with(const MachineConfig& asked, const MachineImage* image, std::unique_ptr<MachineShell> shell) {
  MachineConfig config = with_socket(asked);
  // A console or log whose reader has gone is an error of that write, not the end of the guest.
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
  // The same for a swap file or log that outgrows a limit.
  static_cast<void>(std::signal(SIGXFSZ, SIG_IGN));
  log::Settings settings;
  settings.level = log::parse_level(config.log_level).value_or(log::Level::Warning);
  settings.file = config.log_file;
  if (auto ready = log::set_up(settings); !ready) return fail_with(ready.error(), ExitStatus::BadInput);
  if (auto prepared = prepare_process(config); !prepared) {
    return fail(prepared.error());
  }
  if (!config.api_socket.empty()) return run_with_api(config, image);
  if (auto confined = confine_process(config); !confined) {
    return fail(confined.error());
  }
  auto machine =
      image != nullptr ? Machine::create_from(config, *image, std::move(shell)) : Machine::create(config);
  if (!machine) return fail(machine.error());
  if (auto left = give_up_rights(config); !left) return fail_with(left.error(), ExitStatus::BadInput);
  return run_machine(**machine, config);
}

/// The snapshot's machine with what the command line says of console, sockets and log.
int restore_command(const MachineConfig& config) {
  auto saved = snapshot::read_snapshot(config.restore, snapshot::Verify::Begin);
  if (!saved) return fail_with(saved.error(), ExitStatus::BadInput);
  const auto shape = MachineShape::read(saved->description);
  if (!shape) return fail_with(shape.error(), ExitStatus::BadInput);
  const MachineImage image{std::move(saved->description), std::move(saved->memory), {}, {}};
  return run_with(shape->applied_to(config), &image, nullptr);
}

}  // namespace

ExitStatus status_of(const uvm::Error& error) {
  switch (error.kind()) {
    case uvm::ErrorKind::NotFound:
    case uvm::ErrorKind::Permission:
    case uvm::ErrorKind::Unsupported:
      return error.what().find("/dev/kvm") != std::string::npos ? ExitStatus::NoHost : ExitStatus::BadInput;
    case uvm::ErrorKind::Invalid:
    case uvm::ErrorKind::EndOfObject:
      return ExitStatus::BadInput;
    case uvm::ErrorKind::NoMemory:
      // A guest too small for what it boots is the command line's fault, a host without memory is not. Only
      // the first has a larger guest as its way out.
      return error.way_out().find("-m ") != std::string::npos ? ExitStatus::BadInput : ExitStatus::Internal;
    case uvm::ErrorKind::NoMapping:
    case uvm::ErrorKind::Protection:
    case uvm::ErrorKind::NoBacking:
    case uvm::ErrorKind::PagerIo:
    case uvm::ErrorKind::Pinned:
    case uvm::ErrorKind::Busy:
    case uvm::ErrorKind::System:
    case uvm::ErrorKind::Guest:
      return ExitStatus::Internal;
  }
  return ExitStatus::Internal;
}

int fail(const uvm::Error& error) {
  return fail_with(error, status_of(error));
}

int run_machine(Machine& machine, const MachineConfig& config) {
  log::event(log::Level::Info, "machine created",
             {{"name", config.name}, {"vcpus", config.vcpus}, {"memory", config.memory}});
  ept::host::drop_start_up_pages();
  auto report = machine.run();
  if (!report) return fail_with(report.error(), ExitStatus::Internal);
  log::event(log::Level::Info, "machine ended", {{"name", config.name}, {"status", report->status}});
  if (!report->summary.empty()) print_notice(report->summary);
  if (config.show_map == ShowMap::AtExit) static_cast<void>(print(machine.memory_map()));
  return report->status;
}

int run_command(const MachineConfig& config) {
  return config.restore.empty() ? run_with(config, nullptr, nullptr) : restore_command(config);
}

int run_from_image(const MachineConfig& config, const MachineImage& image,
                   std::unique_ptr<MachineShell> shell) {
  return run_with(config, &image, std::move(shell));
}

int dry_run_command(const MachineConfig& config) {
  return static_cast<int>(print(to_json(config)));
}

}  // namespace vmm::cli

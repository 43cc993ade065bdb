#include "vmm/cli/fork_command.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "vmm/cli/output.h"
#include "vmm/cli/run_command.h"
#include "vmm/config/validate.h"
#include "vmm/control/client.h"
#include "vmm/control/family.h"
#include "vmm/machine/machine_shape.h"
#include "vmm/machine/machine_shell.h"

namespace vmm::cli {
namespace {

namespace json = boost::json;

/// A machine of its own, with its place in the family and its debugger, if there is one.
int run_child(MachineConfig config, const MachineImage& image, Fd place, std::optional<Fd> debugger,
              std::unique_ptr<MachineShell> shell) {
  auto family = control::Family::adopt(std::move(place));
  if (!family) return fail(family.error());
  config.control.family = *std::move(family);
  if (debugger) config.gdb.inherited = debugger->release();
  return run_from_image(config, image, std::move(shell));
}

/// The last of what may be empty.
std::optional<Fd> take_last(std::vector<Fd>& fds) {
  if (fds.empty()) return std::nullopt;
  Fd last = std::move(fds.back());
  fds.pop_back();
  return last;
}

/// Runs a machine for each place, in a process of its own; the worst of their statuses.
int run_children(std::vector<Fd> places, control::ForkedImage forked, const MachineConfig& config) {
  std::vector<pid_t> children;
  const std::size_t count = places.size();
  while (!places.empty()) {
    Fd place = std::move(places.back());
    places.pop_back();
    std::optional<Fd> debugger = take_last(forked.debuggers);
    const pid_t child = ::fork();
    if (child == 0) {
      places.clear();  // they are the others', and so are these
      forked.debuggers.clear();
      ::_exit(run_child(config, forked.image, std::move(place), std::move(debugger), nullptr));
    }
    if (child < 0) {
      print_error(
          uvm::Error::from_errno(errno, "starting child " + std::to_string(children.size() + 1)).text());
      places.clear();
      break;
    }
    children.push_back(child);
  }
  forked.debuggers.clear();
  int worst = children.size() == count ? 0 : static_cast<int>(ExitStatus::Internal);
  for (const pid_t child : children) {
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    worst = std::max(worst, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  }
  return worst;
}

uvm::Result<std::vector<Fd>> take_places(const std::string& socket, std::uint32_t count) {
  UVMM_TRY(const auto family, control::fetch_family(socket));
  std::vector<Fd> places;
  for (std::uint32_t i = 0; i < count; ++i) {
    UVMM_TRY(Fd place, family->take_place());
    places.push_back(std::move(place));
  }
  return places;
}

/// What a copy needs to know of a machine before it is forked.
struct Parent {
  std::uint32_t pid = 0;
  std::uint32_t vcpus = 1;
};

uvm::Result<Parent> ask_parent(const std::string& socket) {
  UVMM_TRY(const std::string status, control::ask(socket, "status"));
  json::error_code error;
  const json::value values = json::parse(status, error);
  const auto number = [&](std::string_view key) {
    const json::value* const value = values.is_object() ? values.get_object().if_contains(key) : nullptr;
    return value != nullptr ? value->to_number<std::uint32_t>(error) : 0U;
  };
  return Parent{number("pid"), std::clamp(number("vcpus"), 1U, kMaxVcpus)};
}

/// Whether a line has come; false: stdin has ended, and nobody wants a copy any more. What follows the line
/// is the guest's.
bool wait_for_line() {
  char letter = 0;
  ssize_t got = 0;
  do got = ::read(STDIN_FILENO, &letter, 1);
  while ((got < 0 && errno == EINTR) || (got == 1 && letter != '\n'));
  return got == 1;
}

}  // namespace

int fork_command(const RemoteCall& call, const std::string& socket) {
  // Started by a machine, it is named after the link in /proc that the kernel found it by.
  static_cast<void>(::prctl(PR_SET_NAME, "uvmm"));
  const auto parent = ask_parent(socket);
  if (!parent) return fail(parent.error());
  std::unique_ptr<MachineShell> shell;
  if (call.ready) {
    auto prepared = MachineShell::prepare(call.config.irqchip, parent->vcpus);
    if (!prepared) return fail(prepared.error());
    shell = *std::move(prepared);
    if (!wait_for_line()) return 0;
  }
  auto places = take_places(socket, call.count);
  if (!places) return fail(places.error());
  auto forked = control::fetch_fork(socket, call.count);
  if (!forked) return fail(forked.error());
  const auto shape = MachineShape::read(forked->image.state);
  if (!shape) return fail(shape.error());
  MachineConfig config = shape->applied_to(call.config);
  if (config.name.empty()) config.name = shape->name();
  if (auto valid = config::validate_overcommit(config); !valid) return fail(valid.error());
  config.control.parent = parent->pid;
  if (call.count == 1) {
    return run_child(config, forked->image, std::move(places->front()), take_last(forked->debuggers),
                     std::move(shell));
  }
  config.console = ConsoleMode::None;
  return run_children(*std::move(places), *std::move(forked), config);
}

}  // namespace vmm::cli

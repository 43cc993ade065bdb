#include "vmm/cli/remote_command.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "vmm/cli/fork_command.h"
#include "vmm/cli/output.h"
#include "vmm/cli/progress_bar.h"
#include "vmm/cli/run_command.h"
#include "vmm/config/values.h"
#include "vmm/control/client.h"
#include "vmm/control/run_directory.h"
#include "vmm/machine/machine_shape.h"
#include "vmm/machine/memory_map.h"
#include "vmm/machine/memory_shares.h"
#include "vmm/snapshot/snapshot_files.h"
#include "vmm/text.h"

namespace vmm::cli {
namespace {

using namespace config;

namespace json = boost::json;

/// A machine as it tells of itself.
struct Listed {
  std::string socket;
  std::string name;
  std::uint64_t pid = 0;
  std::uint64_t parent = 0;
  std::uint64_t vcpus = 0;
  std::uint64_t memory = 0;
  std::string state;        // running, paused, silent
  std::string checkpoints;  // each with what it holds
  MemoryShare share;
  std::set<uvm::ObjectIdentity> objects;  // that it keeps alive
};

constexpr const char* kSilent = "silent";

std::uint64_t number_in(const json::object& values, std::string_view key) {
  const json::value* const value = values.if_contains(key);
  json::error_code error;
  return value != nullptr ? value->to_number<std::uint64_t>(error) : 0;
}

/// "before=12M+32M after=4K+32M": what it holds alone, and with others.
std::string checkpoints_in(const json::object& values) {
  const json::value* const list = values.if_contains("checkpoints");
  std::string text;
  if (list == nullptr || !list->is_array()) return text;
  for (const json::value& each : list->get_array()) {
    if (!each.is_object()) continue;
    const json::value* const name = each.get_object().if_contains("name");
    text += text.empty() ? "" : " ";
    if (name != nullptr && name->is_string()) text += one_line(name->get_string());
    text += "=" + human_bytes(number_in(each.get_object(), "held")) + "+" +
            human_bytes(number_in(each.get_object(), "shared"));
  }
  return text;
}

/// What each has in host memory, and with whom; nothing of one that does not tell.
HeldObjects count_shares(std::vector<Listed>& machines) {
  std::vector<ResidentPages> resident;
  for (const Listed& machine : machines) {
    const bool is_silent = machine.state == kSilent;
    auto pages = is_silent ? uvm::Result<ResidentPages>(ResidentPages())
                           : control::fetch_resident_pages(machine.socket, control::kBriefly);
    resident.push_back(pages ? *std::move(pages) : ResidentPages());
  }
  const std::vector<MemoryShare> shares = shares_of(resident);
  for (std::size_t i = 0; i < machines.size(); ++i) {
    machines[i].share = shares[i];
    for (const auto& [id, runs] : resident[i].objects) machines[i].objects.insert(id);
  }
  return objects_of(resident);
}

struct Running {
  std::vector<Listed> machines;
  HeldObjects objects;
};

Listed silent(const std::string& socket) {
  const control::SocketOwner owner = control::owner_of(socket);
  Listed machine;
  machine.socket = socket;
  machine.name = owner.name;
  machine.pid = owner.pid;
  machine.state = kSilent;
  return machine;
}

Running running() {
  std::vector<Listed> all;
  for (const auto& [socket, text] : control::ask_everybody("status")) {
    if (!text) {
      all.push_back(silent(socket));
      continue;
    }
    json::error_code error;
    const json::value value = json::parse(*text, error);
    if (error || !value.is_object()) continue;
    const json::object& values = value.get_object();
    const json::value* const name = values.if_contains("name");
    const json::value* const paused = values.if_contains("paused");
    all.push_back({socket,
                   name != nullptr && name->is_string() ? std::string(name->get_string()) : "?",
                   number_in(values, "pid"),
                   number_in(values, "parent"),
                   number_in(values, "vcpus"),
                   number_in(values, "memory"),
                   paused != nullptr && *paused == json::value(true) ? "paused" : "running",
                   checkpoints_in(values),
                   {},
                   {}});
  }
  const HeldObjects objects = count_shares(all);
  return {std::move(all), objects};
}

std::string line_of(const Listed& machine, std::size_t indent) {
  std::array<char, 200> line{};
  std::snprintf(line.data(), line.size(), "%*s%-*s %8llu %6llu %8s %8s %8s %8s %-8s",
                static_cast<int>(indent), "", static_cast<int>(20 - std::min<std::size_t>(indent, 19)),
                machine.name.c_str(), static_cast<unsigned long long>(machine.pid),
                static_cast<unsigned long long>(machine.vcpus), format_size(machine.memory).c_str(),
                human_bytes(machine.share.unique).c_str(), human_bytes(machine.share.shared).c_str(),
                human_bytes(machine.share.proportional).c_str(), machine.state.c_str());
  const std::string checkpoints = machine.checkpoints.empty() ? "" : "  " + machine.checkpoints;
  return line.data() + machine.socket + checkpoints + "\n";
}

constexpr const char* kHeading =
    "NAME                      PID  VCPUS   MEMORY   UNIQUE   SHARED      PSS STATE   SOCKET  CHECKPOINTS\n";

int list() {
  std::string text = kHeading;
  for (const Listed& machine : running().machines) text += line_of(machine, 0);
  return static_cast<int>(print(text));
}

/// Machines whose parent has gone stand at the left, like those that have none.
int tree() {
  const auto [machines, objects] = running();
  std::map<std::uint64_t, std::vector<const Listed*>> children;
  for (const Listed& machine : machines) {
    const bool lives =
        std::ranges::any_of(machines, [&](const Listed& other) { return other.pid == machine.parent; });
    children[lives ? machine.parent : 0].push_back(&machine);
  }
  std::string text = kHeading;
  std::vector<std::pair<const Listed*, std::size_t>> rest;
  const auto push = [&](std::uint64_t parent, std::size_t depth) {
    const auto found = children.find(parent);
    if (found == children.end()) return;
    for (auto child = found->second.rbegin(); child != found->second.rend(); ++child) {
      rest.emplace_back(*child, depth);
    }
    children.erase(found);  // each once, whatever they say of each other
  };
  push(0, 0);
  while (!rest.empty()) {
    const auto [machine, depth] = rest.back();
    rest.pop_back();
    text += line_of(*machine, 2 * depth);
    push(machine->pid, depth + 1);
  }
  if (objects.objects != 0) {
    text += "objects of memory: " + std::to_string(objects.objects) + " of " + human_bytes(objects.held) +
            " in all, " + human_bytes(objects.unseen) + " of these in no guest's view\n";
  }
  return static_cast<int>(print(text));
}

int snapshot_machine(const RemoteCall& call, const std::string& socket) {
  // A file that outgrows a limit is an error of that write, which leaves nothing behind.
  static_cast<void>(std::signal(SIGXFSZ, SIG_IGN));
  const auto image = control::fetch_image(socket);
  if (!image) return fail(image.error());
  const auto written = [&] {
    ProgressBar bar("snapshot");
    return snapshot::write_snapshot(call.directory, image->state, image->memory, {call.base, call.packing},
                                    [&](std::uint64_t done, std::uint64_t all) { bar.show(done, all); });
  }();
  if (!written) return fail(written.error());
  return static_cast<int>(print("snapshot in " + call.directory + ": " + format_size(written->memory) +
                                " of memory, " + std::to_string(written->state) + " bytes of state\n"));
}

/// What a level of a snapshot keeps on the disk.
struct LevelOnDisk {
  std::uint64_t own = 0;  // bytes: what goes when it is removed, and no machine runs from it
  std::string users;      // "  first, second": the machines that do
};

uvm::Result<LevelOnDisk> look_at(const snapshot::Level& level, const std::vector<Listed>& machines) {
  UVMM_TRY(const auto memory, level.file.open(level.directory));
  struct stat info {};
  static_cast<void>(::fstat(memory->fd(), &info));
  constexpr std::uint64_t kBlock = 512;
  LevelOnDisk found{static_cast<std::uint64_t>(info.st_blocks) * kBlock + level.description.size(), {}};
  for (const Listed& machine : machines) {
    if (!machine.objects.contains(memory->identity())) continue;
    found.users += (found.users.empty() ? "  " : ", ") + one_line(machine.name);
  }
  return found;
}

/// A snapshot and what it builds on, the newest first.
int snapshot_info(const RemoteCall& call) {
  const auto levels = snapshot::read_chain(call.directory);
  if (!levels) return fail(levels.error());
  const auto shape = MachineShape::read(levels->front().description);
  if (!shape) return fail(shape.error());
  const std::vector<Listed> machines = running().machines;
  std::string lines;
  std::uint64_t all = 0;  // bytes of a level and those it builds on
  for (auto level = levels->rbegin(); level != levels->rend(); ++level) {
    const auto disk = look_at(*level, machines);
    if (!disk) return fail(disk.error());
    all += disk->own;
    std::array<char, 64> line{};
    std::snprintf(line.data(), line.size(), "%016llx %10s %10s  ",
                  static_cast<unsigned long long>(level->identity), human_bytes(disk->own).c_str(),
                  human_bytes(all).c_str());
    lines.insert(0, line.data() + level->directory + disk->users + "\n");
  }
  return static_cast<int>(print("machine " + shape->name() + ", " + std::to_string(shape->vcpus()) +
                                " vCPUs, " + format_size(shape->memory()) +
                                " of memory\nIDENTITY               DISK WITH BASES  DIRECTORY  USED BY\n" +
                                lines));
}

int collapse_snapshot(const RemoteCall& call) {
  static_cast<void>(std::signal(SIGXFSZ, SIG_IGN));  // as above
  const auto collapsed = [&] {
    ProgressBar bar("collapse");
    return snapshot::collapse_snapshot(call.directory,
                                       [&](std::uint64_t done, std::uint64_t all) { bar.show(done, all); });
  }();
  if (!collapsed) return fail(collapsed.error());
  if (collapsed->levels == 1) {
    return static_cast<int>(print("snapshot in " + call.directory + " builds on no other\n"));
  }
  return static_cast<int>(print("snapshot in " + call.directory +
                                " stands alone: " + format_size(collapsed->written.memory) +
                                " of memory from " + std::to_string(collapsed->levels) + " snapshots\n"));
}

}  // namespace

int remote_command(const RemoteCall& call) {
  if (call.verb == RemoteVerb::List) return list();
  if (call.verb == RemoteVerb::Tree) return tree();
  if (call.verb == RemoteVerb::SnapshotInfo) return snapshot_info(call);
  if (call.verb == RemoteVerb::Collapse) return collapse_snapshot(call);
  const auto socket = control::find_socket(call.machine);
  if (!socket) return fail(socket.error());
  if (call.verb == RemoteVerb::Fork) return fork_command(call, *socket);
  if (call.verb == RemoteVerb::Snapshot) return snapshot_machine(call, *socket);
  if (call.verb == RemoteVerb::Balloon) {
    const auto told = control::ask_balloon(*socket, call.bytes);
    return told ? static_cast<int>(print(*told + "\n")) : fail(told.error());
  }
  const auto answer = control::ask(*socket, call.question, call.name);
  if (!answer) return fail(answer.error());
  return call.question == "status" ? static_cast<int>(print(*answer + "\n")) : 0;
}

}  // namespace vmm::cli

#include "vmm/config/confinement_words.h"

#include <array>
#include <boost/json/value.hpp>
#include <charconv>
#include <limits>

#include "vmm/config/check_text.h"
#include "vmm/config/nearest.h"
#include "vmm/config/values.h"
#include "vmm/text.h"

namespace vmm::config {
namespace {

namespace json = boost::json;
using confine::Landlock;
using confine::Options;
using confine::Seccomp;

constexpr std::array<std::string_view, 3> kSeccomp = {"on", "log", "off"};
constexpr std::array<std::string_view, 2> kLandlock = {"on", "off"};

template <class Enum, std::size_t N>
uvm::Result<Enum> parse_word(std::string_view name, const std::array<std::string_view, N>& words) {
  std::string all;
  for (std::size_t i = 0; i < N; ++i) {
    if (words[i] == name) return static_cast<Enum>(i);
    all += (i == 0 ? "" : ", ") + std::string(words[i]);
  }
  return invalid("'" + one_line(name.substr(0, 80)) + "' is not one of " + all,
                 "nearest: " + std::string(nearest(name, words)));
}

/// A plain decimal number of at most `most`.
uvm::Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t most, const char* what) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc() && stopped == end && value <= most) return value;
  return invalid("'" + one_line(text.substr(0, 80)) + "' is not " + what, "write a whole number");
}

/// The kernel's -1 means "as it is", so it is nobody's number.
constexpr std::uint64_t kMostId = std::numeric_limits<uid_t>::max() - 1;
constexpr std::uint64_t kMostPids = std::uint64_t{1} << 22;  // the kernel's own limit

uvm::Status set_path(std::string_view value, const char* what, std::string& path) {
  if (value.empty()) return invalid(std::string("the path of ") + what + " is empty", "name one");
  path = value;
  return uvm::ok();
}

template <auto set>
uvm::Status set_from_json(const JsonMember& member, MachineConfig& config) {
  std::string word;
  if (member.value().is_string()) {
    UVMM_TRY(word, member.text());
  } else {
    UVMM_TRY(const std::uint64_t number, member.number(std::numeric_limits<std::uint64_t>::max()));
    word = std::to_string(number);
  }
  auto done = set(word, config);
  if (!done) return std::move(done).error().with_context(member.path());
  return uvm::ok();
}

uvm::Status set_allowed_paths(const JsonMember& member, MachineConfig& config) {
  const auto* paths = member.value().if_array();
  if (paths == nullptr) return member.error("must be an array of paths");
  for (std::size_t i = 0; i < paths->size(); ++i) {
    const JsonMember each(member.path() + "[" + std::to_string(i) + "]", (*paths)[i]);
    UVMM_TRY(const std::string path, each.text());
    UVMM_CHECK(add_allowed_path(path, config));
  }
  return uvm::ok();
}

constexpr std::array kKeys = {
    JsonKey{"seccomp", set_from_json<set_seccomp>},  JsonKey{"landlock", set_from_json<set_landlock>},
    JsonKey{"allowed_paths", set_allowed_paths},     JsonKey{"uid", set_from_json<set_uid>},
    JsonKey{"gid", set_from_json<set_gid>},          JsonKey{"netns", set_from_json<set_netns>},
    JsonKey{"cgroup", set_from_json<set_cgroup>},    JsonKey{"memory_max", set_from_json<set_memory_max>},
    JsonKey{"pids_max", set_from_json<set_pids_max>}};

/// vCPUs, the first thread, and what a machine may need beside them.
constexpr std::uint64_t kThreadsBesideVcpus = 8;

uvm::Status check_cgroup(const MachineConfig& config) {
  const Options& options = config.confinement;
  if (options.cgroup.empty()) {
    if (!options.memory_max && !options.pids_max) return uvm::ok();
    return invalid("--memory-max and --pids-max are limits of a cgroup, and none is named",
                   "add --cgroup PATH");
  }
  const std::uint64_t resident = config.overcommit.limit != 0 ? config.overcommit.limit : config.memory;
  if (options.memory_max && *options.memory_max <= resident) {
    return invalid("a guest with " + format_size(resident) + " in memory would be killed in a cgroup of " +
                       format_size(*options.memory_max),
                   "raise --memory-max above it, or lower --memory-limit");
  }
  const std::uint64_t threads = config.vcpus + kThreadsBesideVcpus;
  if (options.pids_max && *options.pids_max < threads) {
    return invalid("a machine of " + std::to_string(config.vcpus) + " vCPUs has more threads than " +
                       std::to_string(*options.pids_max),
                   "raise --pids-max to " + std::to_string(threads) + " or more");
  }
  return uvm::ok();
}

}  // namespace

uvm::Result<Seccomp> parse_seccomp(std::string_view name) {
  return parse_word<Seccomp>(name, kSeccomp);
}
uvm::Result<Landlock> parse_landlock(std::string_view name) {
  return parse_word<Landlock>(name, kLandlock);
}
std::string_view to_string(Seccomp value) {
  return kSeccomp[static_cast<std::size_t>(value)];
}
std::string_view to_string(Landlock value) {
  return kLandlock[static_cast<std::size_t>(value)];
}

uvm::Status set_seccomp(std::string_view value, MachineConfig& config) {
  UVMM_TRY(config.confinement.seccomp, parse_seccomp(value));
  return uvm::ok();
}

uvm::Status set_landlock(std::string_view value, MachineConfig& config) {
  UVMM_TRY(config.confinement.landlock, parse_landlock(value));
  return uvm::ok();
}

uvm::Status add_allowed_path(std::string_view value, MachineConfig& config) {
  return set_path(value, "what may be opened", config.confinement.allowed_paths.emplace_back());
}

uvm::Status set_uid(std::string_view value, MachineConfig& config) {
  UVMM_TRY(const std::uint64_t number, parse_number(value, kMostId, "a user's number"));
  config.confinement.uid = static_cast<uid_t>(number);
  return uvm::ok();
}

uvm::Status set_gid(std::string_view value, MachineConfig& config) {
  UVMM_TRY(const std::uint64_t number, parse_number(value, kMostId, "a group's number"));
  config.confinement.gid = static_cast<gid_t>(number);
  return uvm::ok();
}

uvm::Status set_netns(std::string_view value, MachineConfig& config) {
  return set_path(value, "the network namespace", config.confinement.netns);
}

uvm::Status set_cgroup(std::string_view value, MachineConfig& config) {
  return set_path(value, "the cgroup", config.confinement.cgroup);
}

uvm::Status set_memory_max(std::string_view value, MachineConfig& config) {
  UVMM_TRY(config.confinement.memory_max, parse_size(value));
  return uvm::ok();
}

uvm::Status set_pids_max(std::string_view value, MachineConfig& config) {
  UVMM_TRY(config.confinement.pids_max, parse_number(value, kMostPids, "a number of threads"));
  return uvm::ok();
}

uvm::Status apply_confinement(const JsonMember& member, MachineConfig& config) {
  return apply_object(member, kKeys, config);
}

json::object confinement_json(const Options& options) {
  json::object object;
  object["seccomp"] = json::string(to_string(options.seccomp));
  object["landlock"] = json::string(to_string(options.landlock));
  if (!options.allowed_paths.empty()) {
    json::array paths;
    for (const std::string& path : options.allowed_paths) paths.push_back(json::string(path));
    object["allowed_paths"] = std::move(paths);
  }
  if (options.uid) object["uid"] = *options.uid;
  if (options.gid) object["gid"] = *options.gid;
  if (!options.netns.empty()) object["netns"] = json::string(options.netns);
  if (!options.cgroup.empty()) object["cgroup"] = json::string(options.cgroup);
  if (options.memory_max) object["memory_max"] = json::string(format_size(*options.memory_max));
  if (options.pids_max) object["pids_max"] = *options.pids_max;
  return object;
}

uvm::Status check_confinement(const MachineConfig& config) {
  const Options& options = config.confinement;
  if (options.uid.has_value() != options.gid.has_value()) {
    return invalid("--uid and --gid go together, and one of them is missing", "give both");
  }
  if (!options.allowed_paths.empty() && options.landlock == Landlock::Off) {
    return invalid("--allow-path lets through what --landlock off does not stop", "leave one of them out");
  }
  return check_cgroup(config);
}

}  // namespace vmm::config

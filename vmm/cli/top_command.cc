#include "vmm/cli/top_command.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <cstdio>
#include <set>
#include <thread>

#include "vmm/cli/output.h"
#include "vmm/control/client.h"
#include "vmm/control/run_directory.h"
#include "vmm/machine/memory_map.h"
#include "vmm/text.h"

namespace vmm::cli {
namespace {

namespace json = boost::json;
using Samples = std::vector<TopSample>;

constexpr std::chrono::seconds kInterval{1};

std::uint64_t number(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(json::string_view(key.data(), key.size()));
  json::error_code error;
  return value == nullptr || !value->is_number() ? 0 : value->to_number<std::uint64_t>(error);
}

/// What a machine answers; empty when it does not.
json::object object_of(const uvm::Result<std::string>& text) {
  json::error_code error;
  const json::value value = text ? json::parse(*text, error) : json::value();
  return !error && value.is_object() ? value.get_object() : json::object();
}

Samples sample() {
  Samples all;
  for (const auto& [socket, answer] : control::ask_everybody("status")) {
    if (!answer) {
      const control::SocketOwner owner = control::owner_of(socket);
      TopSample& guest = all.emplace_back();
      guest.name = one_line(owner.name);
      guest.pid = owner.pid;
      guest.silent = true;
      continue;
    }
    const json::object status = object_of(*answer);
    if (status.empty()) continue;
    const json::object counters = object_of(control::ask(socket, "counters", {}, control::kBriefly));
    const json::value* const name = status.if_contains("name");
    const json::value* const paused = status.if_contains("paused");
    TopSample& guest = all.emplace_back();
    guest.name = name != nullptr && name->is_string() ? one_line(name->get_string()) : "?";
    guest.paused = paused != nullptr && *paused == json::value(true);
    guest.pid = number(status, "pid");
    guest.parent = number(status, "parent");
    guest.memory = number(status, "memory");
    guest.resident = number(counters, "resident");
    guest.priv = number(counters, "private");
    guest.shared = number(counters, "shared");
    guest.swapped = number(counters, "swapped");
    guest.wired = number(counters, "wired");
    guest.faults = number(counters, "faults");
    guest.exits = number(counters, "exits");
  }
  return all;
}

const TopSample* find(const Samples& all, std::uint64_t pid) {
  const auto found = std::ranges::find(all, pid, &TopSample::pid);
  return found == all.end() ? nullptr : &*found;
}

std::string rate(std::uint64_t now, std::uint64_t before, double seconds) {
  const double per_second = now < before ? 0 : static_cast<double>(now - before) / seconds;
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.0f/s", per_second);
  return text.data();
}

std::string line_of(const TopSample& guest, const TopSample* before, double seconds, std::size_t indent) {
  const bool has_rates = before != nullptr && seconds > 0;
  const std::string faults =
      has_rates ? rate(guest.faults, before->faults, seconds) : std::to_string(guest.faults);
  const std::string exits =
      has_rates ? rate(guest.exits, before->exits, seconds) : std::to_string(guest.exits);
  const std::string name = std::string(std::min<std::size_t>(indent, 16), ' ') + guest.name.substr(0, 60);
  std::array<char, 256> line{};
  std::snprintf(line.data(), line.size(), "%-20s %8llu %-7s %7s %7s %7s %7s %7s %7s %10s %10s\n",
                name.c_str(), static_cast<unsigned long long>(guest.pid),
                guest.silent   ? "silent"
                : guest.paused ? "paused"
                               : "running",
                human_bytes(guest.memory).c_str(), human_bytes(guest.resident).c_str(),
                human_bytes(guest.priv).c_str(), human_bytes(guest.shared).c_str(),
                human_bytes(guest.swapped).c_str(), human_bytes(guest.wired).c_str(), faults.c_str(),
                exits.c_str());
  return line.data();
}

int print_json(const Samples& all) {
  json::array list;
  for (const TopSample& guest : all) {
    list.push_back(json::object{{"name", guest.name},
                                {"pid", guest.pid},
                                {"parent", guest.parent},
                                {"paused", guest.paused},
                                {"silent", guest.silent},
                                {"memory", guest.memory},
                                {"resident", guest.resident},
                                {"private", guest.priv},
                                {"shared", guest.shared},
                                {"swapped", guest.swapped},
                                {"wired", guest.wired},
                                {"faults", guest.faults},
                                {"exits", guest.exits}});
  }
  return static_cast<int>(print(json::serialize(list) + "\n"));
}

}  // namespace

std::string top_table(const Samples& now, const Samples& before, double seconds) {
  std::string text =
      "NAME                      PID STATE    MEMORY     RSS PRIVATE  SHARED SWAPPED   WIRED     FAULTS      "
      "EXITS\n";
  std::set<std::uint64_t> shown;
  std::vector<std::pair<const TopSample*, std::size_t>> rest;
  for (auto guest = now.rbegin(); guest != now.rend(); ++guest) {
    if (find(now, guest->parent) == nullptr) rest.emplace_back(&*guest, 0);
  }
  while (!rest.empty()) {
    const auto [guest, depth] = rest.back();
    rest.pop_back();
    if (!shown.insert(guest->pid).second) continue;
    text += line_of(*guest, find(before, guest->pid), seconds, 2 * depth);
    for (auto child = now.rbegin(); child != now.rend(); ++child) {
      if (child->parent == guest->pid) rest.emplace_back(&*child, depth + 1);
    }
  }
  return text;
}

int top_command(TopOutput output) {
  Samples now = sample();
  if (output == TopOutput::Json) return print_json(now);
  if (output == TopOutput::Once || ::isatty(STDOUT_FILENO) == 0) {
    return static_cast<int>(print(top_table(now, {}, 0)));
  }
  constexpr const char* kClear = "\x1b[H\x1b[2J";
  auto taken = std::chrono::steady_clock::now();
  Samples before;
  double seconds = 0;
  for (;;) {
    const ExitStatus shown = print(kClear + top_table(now, before, seconds));
    if (shown != ExitStatus::Ok) return static_cast<int>(shown);
    std::this_thread::sleep_for(kInterval);
    before = std::move(now);
    now = sample();
    const auto when = std::chrono::steady_clock::now();
    seconds = std::chrono::duration<double>(when - taken).count();
    taken = when;
  }
}

}  // namespace vmm::cli

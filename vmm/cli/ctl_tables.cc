#include "vmm/cli/ctl_tables.h"

#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cinttypes>
#include <cstdio>

#include "vmm/machine/memory_map.h"
#include "vmm/text.h"

namespace vmm::cli {
namespace {

namespace json = boost::json;

template <class... Args>
std::string line(const char* format, Args... args) {
  std::array<char, 512> text{};
  std::snprintf(text.data(), text.size(), format, args...);
  return text.data();
}

std::uint64_t number(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(json::string_view(key.data(), key.size()));
  json::error_code error;
  return value == nullptr || !value->is_number() ? 0 : value->to_number<std::uint64_t>(error);
}

std::string text(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(json::string_view(key.data(), key.size()));
  return value == nullptr || !value->is_string() ? std::string() : one_line(value->get_string());
}

std::string size(const json::object& object, std::string_view key) {
  return human_bytes(number(object, key));
}

/// The objects of a list.
std::vector<const json::object*> objects_in(const json::object& answer, std::string_view key) {
  std::vector<const json::object*> all;
  const json::value* const list = answer.if_contains(json::string_view(key.data(), key.size()));
  if (list == nullptr || !list->is_array()) return all;
  for (const json::value& each : list->get_array()) {
    if (each.is_object()) all.push_back(&each.get_object());
  }
  return all;
}

std::string range(const json::object& object) {
  return line("%013" PRIx64 "-%013" PRIx64, number(object, "begin"), number(object, "end"));
}

void append_members(const json::object& object, const std::string& prefix, std::string& out) {
  for (const auto& member : object) {
    const std::string name = prefix + std::string(member.key());
    if (member.value().is_object()) {
      append_members(member.value().get_object(), name + ".", out);
      continue;
    }
    const std::string value =
        member.value().is_string() ? one_line(member.value().get_string()) : json::serialize(member.value());
    out += line("%-40s ", one_line(name).c_str()) + value + "\n";
  }
}

}  // namespace

std::string instance_table(const json::object& answer) {
  return "machine  " + text(answer, "id") + "\nstate    " + text(answer, "state") + "\nversion  " +
         text(answer, "app_name") + " " + text(answer, "vmm_version") + "\n";
}

std::string map_table(const json::object& answer) {
  std::string out =
      "guest-physical range                  size rights  name     writes            rss    priv  shared   "
      "wired swapped  "
      "object\n";
  for (const json::object* const entry : objects_in(answer, "mappings")) {
    const std::string rights = text(*entry, "protection") + "/" + text(*entry, "max_protection");
    out += range(*entry) + line(" %10s %-7s %-8s %-13s %7s %7s %7s %7s %7s",
                                human_bytes(number(*entry, "end") - number(*entry, "begin")).c_str(),
                                rights.c_str(), text(*entry, "name").c_str(), text(*entry, "kind").c_str(),
                                size(*entry, "resident").c_str(), size(*entry, "private").c_str(),
                                size(*entry, "shared").c_str(), size(*entry, "wired").c_str(),
                                size(*entry, "swapped").c_str());
    const std::string object = text(*entry, "object");
    if (!object.empty()) out += "  " + object + line("+0x%" PRIx64, number(*entry, "offset"));
    out += "\n";
  }
  const json::value* const totals = answer.if_contains("totals");
  if (totals == nullptr || !totals->is_object()) return out;
  const json::object& sums = totals->get_object();
  return out + "total: " + size(sums, "mapped") + ", resident " + size(sums, "resident") + " (private " +
         size(sums, "private") + ", shared " + size(sums, "shared") + "), wired " + size(sums, "wired") +
         ", swapped " + size(sums, "swapped") + "\n";
}

std::string statistics_table(const json::object& answer) {
  return members_table(answer);
}

std::string pins_table(const json::object& answer) {
  const auto pins = objects_in(answer, "pins");
  if (pins.empty()) return "nothing is pinned\n";
  std::string out = "pinned range                          size access on-fork  by\n";
  for (const json::object* const pin : pins) {
    out += range(*pin) +
           line(" %10s %-6s %-8s ", human_bytes(number(*pin, "end") - number(*pin, "begin")).c_str(),
                text(*pin, "access").c_str(), text(*pin, "on_fork").c_str()) +
           text(*pin, "owner") + "\n";
  }
  return out;
}

std::string copies_table(const json::object& answer) {
  std::string out = "     PID  CONTROL SOCKET  GDB\n";
  for (const json::object* const copy : objects_in(answer, "copies")) {
    out += line("%8" PRIu64 "  ", number(*copy, "pid")) + text(*copy, "control_socket") + "  " +
           text(*copy, "gdb") + "\n";
  }
  return out;
}

std::string members_table(const json::object& answer) {
  std::string out;
  append_members(answer, {}, out);
  return out;
}

}  // namespace vmm::cli

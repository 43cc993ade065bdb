#include "vmm/cli/ctl_command.h"

#include <algorithm>
#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <charconv>
#include <cstdio>

#include "vmm/api/client.h"
#include "vmm/cli/ctl_page.h"
#include "vmm/cli/ctl_tables.h"
#include "vmm/cli/output.h"
#include "vmm/cli/run_command.h"
#include "vmm/config/nearest.h"
#include "vmm/text.h"

namespace vmm::cli {
namespace {

namespace json = boost::json;
using api::Method;
using api::Request;
using uvm::Error;
using uvm::ErrorKind;
using Arguments = std::vector<std::string>;

struct CtlVerb {
  std::string_view name;
  std::string_view arguments;  // "[NAME]"
  std::string_view help;
  std::size_t least;  // arguments
  std::size_t most;
  uvm::Result<Request> (*request)(const Arguments& arguments);
  std::string (*table)(const json::object& answer);  // nullptr: nothing is answered, or plain text
};

template <const char* path>
uvm::Result<Request> get(const Arguments& /*none*/) {
  return Request{Method::Get, path, {}};
}

uvm::Result<Request> put(const char* path, const json::object& body) {
  return Request{Method::Put, path, json::serialize(body)};
}

uvm::Result<Request> set_state(const char* state) {
  return Request{Method::Patch, "/vm", json::serialize(json::object{{"state", state}})};
}

uvm::Result<Request> act(const char* type) {
  return put("/actions", {{"action_type", type}});
}

uvm::Result<Request> named(const char* path, const Arguments& arguments) {
  return put(path, arguments.empty() ? json::object() : json::object{{"name", arguments.front()}});
}

uvm::Result<Request> fork(const Arguments& arguments) {
  std::uint32_t copies = 1;
  if (!arguments.empty()) {
    const std::string& text = arguments.front();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), copies);
    if (error != std::errc() || end != text.data() + text.size()) {
      return Error(ErrorKind::Invalid, "'" + one_line(text.substr(0, 80)) + "' is no number of copies");
    }
  }
  return put("/vm/fork", {{"copies", copies}});
}

uvm::Result<Request> snapshot(const Arguments& arguments) {
  return put("/snapshot/create",
             {{"snapshot_type", "Full"}, {"snapshot_path", arguments[0]}, {"mem_file_path", arguments[1]}});
}

constexpr char kRoot[] = "/";
constexpr char kConfig[] = "/vm/config";
constexpr char kMap[] = "/memory/map";
constexpr char kTiles[] = "/memory/tiles";
constexpr char kStatistics[] = "/memory/stats";
constexpr char kPins[] = "/memory/pins";
constexpr char kDebug[] = "/debug";
constexpr char kMetrics[] = "/metrics";
constexpr char kEvents[] = "/events";

constexpr std::array kVerbs = {
    CtlVerb{"status", "", "what the machine is, and whether it runs", 0, 0, get<kRoot>, instance_table},
    CtlVerb{"config", "", "its configuration", 0, 0, get<kConfig>, members_table},
    CtlVerb{"start", "", "boots what has been configured", 0, 0,
            [](const Arguments&) { return act("InstanceStart"); }, nullptr},
    CtlVerb{"pause", "", "stops the vCPUs for a while", 0, 0,
            [](const Arguments&) { return set_state("Paused"); }, nullptr},
    CtlVerb{"resume", "", "lets them go on", 0, 0, [](const Arguments&) { return set_state("Resumed"); },
            nullptr},
    CtlVerb{"shutdown", "", "presses the power button", 0, 0,
            [](const Arguments&) { return act("SendCtrlAltDel"); }, nullptr},
    CtlVerb{"fork", "[COPIES]", "runs copies of the machine", 0, 1, fork, copies_table},
    CtlVerb{"checkpoint", "[NAME]", "remembers what the machine is", 0, 1,
            [](const Arguments& words) { return named("/vm/checkpoint", words); }, nullptr},
    CtlVerb{"reset", "[NAME]", "makes it that again", 0, 1,
            [](const Arguments& words) { return named("/vm/reset", words); }, nullptr},
    CtlVerb{"snapshot", "STATE MEMORY", "writes the paused machine into two files", 2, 2, snapshot, nullptr},
    CtlVerb{"map", "", "its memory, range by range; --html, --diff", 0, 0, get<kMap>, map_table},
    CtlVerb{"ui", "", "its memory in a browser; --port, --diff", 0, 0, get<kTiles>, nullptr},
    CtlVerb{"stats", "", "what its memory has cost", 0, 0, get<kStatistics>, statistics_table},
    CtlVerb{"pins", "", "who holds what of it", 0, 0, get<kPins>, pins_table},
    CtlVerb{"debug", "", "where a debugger gets in", 0, 0, get<kDebug>, members_table},
    CtlVerb{"metrics", "", "its counters, as Prometheus reads them", 0, 0, get<kMetrics>, nullptr},
    CtlVerb{"events", "", "what happens to it, a line of JSON each, until it ends", 0, 0, get<kEvents>,
            nullptr},
};

uvm::Result<const CtlVerb*> find(const CtlCall& call) {
  const auto* const verb = std::ranges::find(kVerbs, call.verb, &CtlVerb::name);
  if (verb == kVerbs.end()) {
    std::vector<std::string_view> names;
    for (const CtlVerb& each : kVerbs) names.push_back(each.name);
    return Error(ErrorKind::Invalid, "'" + one_line(call.verb.substr(0, 80)) + "' is not a verb of uvmm ctl",
                 "nearest: " + std::string(config::nearest(call.verb, names)) + "; see `uvmm ctl --help`");
  }
  if (call.arguments.size() < verb->least || call.arguments.size() > verb->most) {
    return Error(
        ErrorKind::Invalid,
        "ctl " + call.verb + " does not take " + std::to_string(call.arguments.size()) + " arguments",
        "write `uvmm ctl SOCKET " + call.verb +
            (verb->arguments.empty() ? "`" : " " + std::string(verb->arguments) + "`"));
  }
  return verb;
}

/// That options are given to the verbs that have them.
uvm::Status check_options(const CtlCall& call) {
  const bool is_page = call.verb == "ui" || (call.verb == "map" && !call.html.empty());
  if (!call.html.empty() && call.verb != "map") {
    return Error(ErrorKind::Invalid, "--html is not for ctl " + call.verb,
                 "write `uvmm ctl SOCKET map --html FILE`");
  }
  if (!call.diff.empty() && !is_page) {
    return Error(ErrorKind::Invalid, "--diff is not for ctl " + call.verb + " as text",
                 "write `uvmm ctl SOCKET map --html FILE --diff MACHINE`, or `ui --diff MACHINE`");
  }
  if (call.port != 0 && call.verb != "ui") {
    return Error(ErrorKind::Invalid, "--port is not for ctl " + call.verb,
                 "write `uvmm ctl SOCKET ui --port N`");
  }
  return uvm::ok();
}

/// Line by line, as they come.
int show_events(const CtlCall& call) {
  const auto followed = api::follow(
      call.socket, kEvents, [](const std::string& line) { return print(line + "\n") == ExitStatus::Ok; });
  return followed ? 0 : fail(followed.error());
}

int show(const CtlCall& call, const CtlVerb& verb, const std::string& answer) {
  if (answer.empty()) return 0;
  json::error_code error;
  const json::value value = json::parse(answer, error);
  if (call.output == CtlOutput::Json || verb.table == nullptr || error || !value.is_object()) {
    return static_cast<int>(print(answer.ends_with('\n') ? answer : answer + "\n"));
  }
  return static_cast<int>(print(verb.table(value.get_object())));
}

}  // namespace

std::string ctl_verbs_text() {
  std::string text = "\nVerbs:\n";
  for (const CtlVerb& verb : kVerbs) {
    std::string left = "  " + std::string(verb.name) + " " + std::string(verb.arguments);
    left.resize(std::max<std::size_t>(left.size() + 1, 25), ' ');
    text += left + std::string(verb.help) + "\n";
  }
  return text;
}

int ctl_command(const CtlCall& call) {
  const auto verb = find(call);
  if (!verb) return fail(verb.error());
  if (const auto fits = check_options(call); !fits) return fail(fits.error());
  if (call.verb == "events") return show_events(call);
  if (call.verb == "ui") return serve_page(call);
  if (!call.html.empty()) return write_page(call);
  const auto request = (*verb)->request(call.arguments);
  if (!request) return fail(request.error());
  const auto answer = api::ask(call.socket, *request);
  if (!answer) return fail(answer.error());
  return show(call, **verb, *answer);
}

}  // namespace vmm::cli

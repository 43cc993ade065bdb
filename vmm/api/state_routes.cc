// Requests that tell what there is.
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <utility>

#include "version.h"
#include "vmm/api/routes.h"
#include "vmm/config/config_json.h"

namespace vmm::api {
namespace {

namespace json = boost::json;
using uvm::Result;

/// The version of Firecracker whose API this is.
constexpr const char* kFirecrackerVersion = "1.17.0";

/// The configuration as GET tells it: what Firecracker's clients look for is there, in its words.
json::object config_of(const MachineConfig& config) {
  json::object all = json::parse(config::to_json(config)).get_object();
  json::object& machine = all["machine-config"].get_object();
  machine["smt"] = false;
  machine["track_dirty_pages"] = false;
  if (config.huge_pages == HugePages::Auto) machine["huge_pages"] = "None";
  return all;
}

const char* state_of(const Guest* guest) {
  if (guest == nullptr) return "Not started";
  return guest->paused() ? "Paused" : "Running";
}

}  // namespace

Result<Answer> get_instance(const Call& call) {
  return content(json::serialize(json::object{{"app_name", "uvmm"},
                                              {"id", call.controller.config().name},
                                              {"state", state_of(call.controller.guest())},
                                              {"vmm_version", UVMM_VERSION}}));
}

Result<Answer> get_version(const Call& /*call*/) {
  return content(json::serialize(
      json::object{{"firecracker_version", kFirecrackerVersion}, {"uvmm_version", UVMM_VERSION}}));
}

Result<Answer> get_config(const Call& call) {
  return content(json::serialize(config_of(call.controller.config())));
}

Result<Answer> get_machine_config(const Call& call) {
  return content(json::serialize(config_of(call.controller.config())["machine-config"]));
}

Result<Answer> get_balloon(const Call& call) {
  const json::object all = config_of(call.controller.config());
  if (const auto* const balloon = all.if_contains("balloon")) return content(json::serialize(*balloon));
  return no_balloon();
}

Result<Answer> get_balloon_statistics(const Call& call) {
  const auto& balloon = call.controller.config().balloon;
  if (balloon && balloon->statistics_seconds == 0) {
    return uvm::Error(uvm::ErrorKind::Invalid, "the guest is not asked for statistics of its memory",
                      "set stats_polling_interval_s with PUT /balloon");
  }
  UVMM_TRY(std::string seen, call.guest().balloon_statistics());
  return content(std::move(seen));
}

Result<Answer> get_debugger(const Call& call) {
  const auto& listen = call.controller.config().gdb.listen;
  json::value gdb;
  if (listen) gdb = gdb::to_string(*listen);
  return content(json::serialize(json::object{{"gdb", std::move(gdb)}}));
}

}  // namespace vmm::api

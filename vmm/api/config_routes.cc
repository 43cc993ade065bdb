// Requests that change the configuration: bodies that vmm/config reads.
#include <boost/json/value.hpp>
#include <utility>

#include "vmm/api/body.h"
#include "vmm/api/routes.h"
#include "vmm/config/config_json.h"
#include "vmm/config/device_json.h"
#include "vmm/log.h"

namespace vmm::api {
namespace {

using config::JsonMember;
using uvm::Error;
using uvm::ErrorKind;
using uvm::Result;

/// One section in the place of what it was.
Result<Answer> put_section(const Call& call, const MachineConfig& base, std::string_view section) {
  UVMM_TRY(MachineConfig config, config::merge_section(base, section, call.body));
  UVMM_CHECK(call.controller.accept(std::move(config)));
  call.controller.set_configured();
  return no_content();
}

/// A device of a list, whose id stands in the path and, if its client is strict, in the body.
Result<Answer> put_device(const Call& call, std::string_view key,
                          uvm::Status (*put)(const JsonMember& device, MachineConfig& config)) {
  const auto* const id = call.body.get_object().if_contains(boost::json::string_view(key.data(), key.size()));
  if (id != nullptr && id->is_string() && id->get_string() != boost::json::string_view(call.id)) {
    return Error(ErrorKind::Invalid, "The id from the path [" + call.id +
                                         "] does not match the id from the body [" +
                                         std::string(id->get_string()) + "]!");
  }
  boost::json::value device = call.body;
  if (id == nullptr) device.get_object()[boost::json::string_view(key.data(), key.size())] = call.id;
  MachineConfig config = call.controller.config();
  UVMM_CHECK(put(JsonMember("body", device), config));
  UVMM_CHECK(call.controller.accept(std::move(config)));
  call.controller.set_configured();
  return no_content();
}

}  // namespace

Result<Answer> put_boot_source(const Call& call) {
  MachineConfig base = call.controller.config();
  base.boot = BootSource{};
  UVMM_TRY(const MachineConfig config, config::merge_section(base, "boot-source", call.body));
  const JsonMember body("body", call.body);
  if (config.boot.builtin.empty()) UVMM_CHECK(body.require({"kernel_image_path"}));
  return put_section(call, base, "boot-source");
}

Result<Answer> put_machine_config(const Call& call) {
  UVMM_CHECK(config::merge_section(call.controller.config(), "machine-config", call.body));
  const JsonMember body("body", call.body);
  UVMM_CHECK(body.require({"vcpu_count"}));
  if (!call.body.get_object().contains("mem_size_bytes")) UVMM_CHECK(body.require({"mem_size_mib"}));
  return put_section(call, call.controller.config(), "machine-config");
}

Result<Answer> patch_machine_config(const Call& call) {
  if (call.body.get_object().empty()) return Error(ErrorKind::Invalid, "Empty PATCH request.");
  return put_section(call, call.controller.config(), "machine-config");
}

Result<Answer> put_drive(const Call& call) {
  return put_device(call, "drive_id", config::put_drive);
}

Result<Answer> put_network(const Call& call) {
  return put_device(call, "iface_id", config::put_network);
}

Result<Answer> put_pmem(const Call& call) {
  return put_device(call, "id", config::put_pmem);
}

Result<Answer> put_vsock(const Call& call) {
  return put_section(call, call.controller.config(), "vsock");
}

Result<Answer> put_balloon(const Call& call) {
  return put_section(call, call.controller.config(), "balloon");
}

Result<Answer> put_entropy(const Call& call) {
  return put_section(call, call.controller.config(), "entropy");
}

Result<Answer> put_logger(const Call& call) {
  UVMM_TRY(MachineConfig config, config::merge_section(call.controller.config(), "logger", call.body));
  log::Settings settings;
  settings.level = log::parse_level(config.log_level).value_or(log::Level::Warning);
  settings.file = config.log_file;
  UVMM_CHECK(log::set_up(settings));
  UVMM_CHECK(call.controller.accept(std::move(config)));
  return no_content();
}

Result<Answer> put_metrics(const Call& call) {
  UVMM_TRY(const BodyReader body, BodyReader::of(call.body, {"metrics_path"}));
  UVMM_TRY(const std::string path, body.text("metrics_path"));
  if (path.empty()) return Error(ErrorKind::Invalid, "metrics_path is empty", "name a file");
  if (!call.controller.metrics_path.empty()) {
    return Error(ErrorKind::Invalid, "metrics go to " + call.controller.metrics_path + " already");
  }
  call.controller.metrics_path = path;
  return no_content();
}

}  // namespace vmm::api

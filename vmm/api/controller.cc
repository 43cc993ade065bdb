#include "vmm/api/controller.h"

#include <algorithm>
#include <boost/json/value.hpp>
#include <utility>

#include "vmm/api/routes.h"
#include "vmm/config/json_text.h"
#include "vmm/config/validate.h"
#include "vmm/text.h"

namespace vmm::api {
namespace {

namespace json = boost::json;
using uvm::Error;
using uvm::ErrorKind;

constexpr std::size_t kShownPath = 200;  // bytes of a wrong path that an answer repeats

/// Whether the path is the route's; what stands in the place of its {…}.
bool fits(std::string_view path, std::string_view pattern, std::string& id) {
  const auto brace = pattern.find('{');
  if (brace == std::string_view::npos) return path == pattern;
  if (!path.starts_with(pattern.substr(0, brace))) return false;
  id = path.substr(brace);
  return id.find('/') == std::string::npos;
}

Error unknown(const Request& request) {
  return {ErrorKind::Invalid,
          "Invalid request method and/or path: " + std::string(to_string(request.method)) + " " +
              one_line(std::string_view(request.path).substr(0, kShownPath)) + "."};
}

uvm::Status check_phase(const Route& route, const Guest* guest, bool ended) {
  if (route.phase == Phase::Any) return uvm::ok();
  if (ended) return Error(ErrorKind::Invalid, "The guest has ended.");
  if (route.phase == Phase::BeforeBoot && guest != nullptr) {
    return Error(ErrorKind::Invalid, "The requested operation is not supported after starting the microVM.");
  }
  if (route.phase == Phase::Running && guest == nullptr) {
    return Error(ErrorKind::Invalid, "The requested operation is not supported before starting the microVM.");
  }
  return uvm::ok();
}

/// The body as an object; an empty one where the route takes none and none is there.
uvm::Result<json::value> parse_body(const Route& route, const std::string& body) {
  if (body.empty()) {
    if (route.body != Body::Needed) return json::value(json::object());
    return Error(ErrorKind::Invalid,
                 std::string(to_string(route.method)) + " request cannot have an empty body.");
  }
  if (route.body == Body::None) {
    return Error(ErrorKind::Invalid, std::string(to_string(route.method)) + " request cannot have a body.");
  }
  auto value = config::parse_json(body);
  const std::string where = "An error occurred when deserializing the json body of a request";
  if (!value) return std::move(value).error().with_context(where);
  if (!value->is_object()) return Error(ErrorKind::Invalid, where + ": it is no object");
  return value;
}

}  // namespace

Answer Controller::answer(const Request& request) {
  std::string id;
  const auto route = std::ranges::find_if(routes(), [&](const Route& each) {
    return each.method == request.method && fits(request.path, each.path, id);
  });
  if (route == routes().end()) return fault(unknown(request));
  if (route->path.ends_with('}') && id.empty()) return fault(400, "The ID cannot be empty.");
  if (const auto allowed = check_phase(*route, guest_, ended_); !allowed) return fault(allowed.error());
  const auto body = parse_body(*route, request.body);
  if (!body) return fault(body.error());
  auto answer = route->run(Call{*this, id, *body});
  return answer ? *std::move(answer) : fault(answer.error());
}

void Controller::detach() {
  ended_ = ended_ || guest_ != nullptr;
  guest_ = nullptr;
}

uvm::Status Controller::accept(MachineConfig config) {
  UVMM_CHECK(config::validate_so_far(config));
  config_ = std::move(config);
  return uvm::ok();
}

uvm::Status Controller::launch(Launch launch) {
  MachineConfig config = launch.config;
  UVMM_TRY(guest_, launcher_.start(std::move(launch)));
  config_ = std::move(config);
  return uvm::ok();
}

}  // namespace vmm::api

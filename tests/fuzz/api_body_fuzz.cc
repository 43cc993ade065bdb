// Requests to the API: the first byte chooses one, the rest is its body. Whatever comes, an answer of a known
// status, and a refusal of one line.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "tests/support/fake_guest.h"
#include "vmm/api/controller.h"
#include "vmm/api/routes.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

/// What touches files that a body names.
bool touches_files(std::string_view path) {
  return path == "/logger" || path == "/snapshot/load" || path == "/actions";
}

void check(const vmm::api::Answer& answer) {
  require(answer.status == 200 || answer.status == 204 || answer.status == 400);
  require(answer.status != 204 || answer.body.empty());
  if (answer.status != 400) return;
  require(answer.body.starts_with("{\"fault_message\":\""));
  require(answer.body.find('\n') == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto routes = vmm::api::routes();
  const vmm::api::Route& route = routes[data[0] % routes.size()];
  if (touches_files(route.path)) return 0;
  std::string path(route.path.substr(0, route.path.find('{')));
  if (path.size() != route.path.size()) path += "a";
  const std::string body(reinterpret_cast<const char*>(data + 1), size - 1);
  for (const bool runs : {false, true}) {
    test::FakeLauncher launcher;
    vmm::api::Controller controller({}, launcher);
    if (runs) controller.attach(&launcher.guest);
    check(controller.answer({route.method, path, body}));
    check(controller.answer({vmm::api::Method::Get, "/vm/config", {}}));
  }
  return 0;
}

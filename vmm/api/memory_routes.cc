#include "vmm/api/memory_routes.h"

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <utility>

#include "vmm/api/body.h"
#include "vmm/ui/page.h"

namespace vmm::api {
namespace {

namespace json = boost::json;

constexpr std::size_t kLongestName = 255;  // bytes, of a checkpoint

/// {"name": TEXT}, by default "".
uvm::Result<std::string> name_in(const Call& call) {
  UVMM_TRY(const BodyReader body, BodyReader::of(call.body, {"name"}));
  UVMM_TRY(std::string name, body.text_or("name", {}));
  if (name.size() <= kLongestName) return name;
  return uvm::Error(uvm::ErrorKind::Invalid, "name has " + std::to_string(name.size()) + " bytes, " +
                                                 std::to_string(kLongestName) + " are possible");
}

}  // namespace

uvm::Result<Answer> put_fork(const Call& call) {
  UVMM_TRY(const BodyReader body, BodyReader::of(call.body, {"copies"}));
  std::uint64_t copies = 1;
  if (body.has("copies")) {
    UVMM_TRY(copies, body.number("copies", 1, kMostCopies));
  }
  json::array made;
  for (std::uint64_t i = 0; i < copies; ++i) {
    auto child = call.guest().fork();
    if (!child) {
      return std::move(child).error().with_context("copy " + std::to_string(i + 1) + " of " +
                                                   std::to_string(copies));
    }
    made.push_back(json::object{
        {"pid", child->pid}, {"control_socket", child->socket}, {"gdb", "unix:" + child->debugger}});
  }
  return content(json::serialize(json::object{{"copies", std::move(made)}}));
}

uvm::Result<Answer> put_checkpoint(const Call& call) {
  UVMM_TRY(const std::string name, name_in(call));
  UVMM_CHECK(call.guest().checkpoint(name));
  return no_content();
}

uvm::Result<Answer> put_reset(const Call& call) {
  UVMM_TRY(const std::string name, name_in(call));
  UVMM_CHECK(call.guest().reset(name));
  return no_content();
}

uvm::Result<Answer> get_map(const Call& call) {
  return content(call.guest().memory_map());
}

uvm::Result<Answer> get_tiles(const Call& call) {
  return content(call.guest().memory_tiles());
}

uvm::Result<Answer> get_page(const Call& /*call*/) {
  ui::PageContent wanted;
  wanted.tiles = "memory/tiles";
  UVMM_TRY(ui::Page page, ui::make_page(wanted));
  return Answer{200, std::move(page.html), "text/html; charset=utf-8", Answer::Kind::Whole,
                std::move(page.policy)};
}

uvm::Result<Answer> get_statistics(const Call& call) {
  return content(call.guest().memory_statistics());
}

uvm::Result<Answer> get_pins(const Call& call) {
  return content(call.guest().pins());
}

uvm::Result<Answer> get_metrics(const Call& call) {
  return Answer{200, call.guest().metrics(), "text/plain; version=0.0.4"};
}

uvm::Result<Answer> get_events(const Call& /*call*/) {
  return Answer{200, {}, "application/x-ndjson", Answer::Kind::Stream};
}

}  // namespace vmm::api

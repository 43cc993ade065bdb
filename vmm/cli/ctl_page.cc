#include "vmm/cli/ctl_page.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "vmm/api/client.h"
#include "vmm/cli/output.h"
#include "vmm/cli/run_command.h"
#include "vmm/control/client.h"
#include "vmm/control/run_directory.h"
#include "vmm/ui/loopback.h"
#include "vmm/ui/page.h"

namespace vmm::cli {
namespace {

namespace json = boost::json;
using Clock = std::chrono::steady_clock;

constexpr const char* kTilesBeside = "memory/tiles";
constexpr const char* kOtherTiles = "memory/other-tiles";
constexpr const char* kHolders = "memory/holders";

/// At an API's socket, or, for machines that have none, at a control socket or by a name.
uvm::Result<std::string> ask_tiles(const std::string& machine) {
  auto tiles = api::ask(machine, {api::Method::Get, "/memory/tiles", {}});
  if (tiles || tiles.error().kind() == uvm::ErrorKind::Invalid) return tiles;
  const auto socket = control::find_socket(machine);
  if (!socket) return tiles;
  auto others = control::fetch_tiles(*socket);
  return others ? std::move(others) : std::move(tiles);
}

json::object object_in(const std::string& text) {
  json::error_code error;
  const json::value value = json::parse(text, error);
  return !error && value.is_object() ? value.get_object() : json::object();
}

std::uint64_t pid_in(const json::object& values) {
  const json::value* const pid = values.if_contains("pid");
  json::error_code error;
  return pid != nullptr && pid->is_number() ? pid->to_number<std::uint64_t>(error) : 0;
}

/// The objects that a guest maps, each once.
std::set<std::string> identities_in(const json::object& tiles) {
  std::set<std::string> all;
  const json::value* const mappings = tiles.if_contains("mappings");
  if (mappings == nullptr || !mappings->is_array()) return all;
  for (const json::value& each : mappings->get_array()) {
    const json::value* const identity =
        each.is_object() ? each.get_object().if_contains("identity") : nullptr;
    if (identity != nullptr && identity->is_string()) all.emplace(identity->get_string());
  }
  return all;
}

/// {"DEVICE:INODE": how many guests of this host map that object, …}. Those that are shown (their tiles)
/// count also when their control sockets are elsewhere.
std::string count_holders(const std::vector<std::string>& shown) {
  std::map<std::string, std::uint64_t> counts;
  std::set<std::uint64_t> known;
  const auto count = [&](const std::string& text) {
    const json::object tiles = object_in(text);
    if (!known.insert(pid_in(tiles)).second) return;
    for (const std::string& identity : identities_in(tiles)) ++counts[identity];
  };
  for (const std::string& text : shown) count(text);
  for (const std::string& socket : control::known_sockets()) {
    if (const auto tiles = control::fetch_tiles(socket, control::kBriefly)) count(*tiles);
  }
  json::object holders;
  for (const auto& [identity, guests] : counts) holders[identity] = guests;
  return json::serialize(holders);
}

uvm::Status write_file(const std::string& path, const std::string& text) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "we"), std::fclose);
  if (!file) return uvm::Error::from_errno(errno, "writing " + path);
  if (std::fwrite(text.data(), 1, text.size(), file.get()) != text.size() || std::fflush(file.get()) != 0) {
    return uvm::Error::from_errno(errno, "writing " + path);
  }
  return uvm::ok();
}

uvm::Status make_file(const CtlCall& call) {
  ui::PageContent content;
  UVMM_TRY(content.first, ask_tiles(call.socket));
  if (!call.diff.empty()) {
    UVMM_TRY(content.other_first, ask_tiles(call.diff));
  }
  content.holders_first = count_holders({content.first, content.other_first});
  UVMM_TRY(const ui::Page page, ui::make_page(content));
  return write_file(call.html, page.html);
}

/// What the page asks for, from whoever knows it.
class Relay {
 public:
  explicit Relay(const CtlCall& call) : call_(call) {}

  [[nodiscard]] ui::Reply operator()(std::string_view path) {
    if (path == "ui") return page();
    if (path == kTilesBeside) return tiles_of(call_.socket);
    if (path == kOtherTiles && !call_.diff.empty()) return tiles_of(call_.diff);
    if (path == kHolders) return holders();
    return {api::fault(404, "Nothing is here."), ui::Reply::After::GoOn};
  }

 private:
  [[nodiscard]] ui::Reply page() const {
    ui::PageContent content;
    content.tiles = kTilesBeside;
    if (!call_.diff.empty()) content.other_tiles = kOtherTiles;
    content.holders = kHolders;
    auto page = ui::make_page(content);
    if (!page) return {api::fault(500, page.error().text()), ui::Reply::After::GoOn};
    return {{200, std::move(page->html), "text/html; charset=utf-8", api::Answer::Kind::Whole,
             std::move(page->policy)},
            ui::Reply::After::GoOn};
  }
  /// Where nobody answers any more there is nothing more to show.
  [[nodiscard]] ui::Reply tiles_of(const std::string& socket) {
    auto tiles = ask_tiles(socket);
    if (tiles) {
      last_tiles_[socket] = *tiles;
      return {api::content(*std::move(tiles)), ui::Reply::After::GoOn};
    }
    if (tiles.error().kind() == uvm::ErrorKind::Invalid) {
      return {api::fault(400, tiles.error().text()), ui::Reply::After::GoOn};
    }
    return {api::fault(502, tiles.error().text()), ui::Reply::After::End};
  }
  /// Asks every guest of the host, so not each time.
  [[nodiscard]] ui::Reply holders() {
    constexpr std::chrono::seconds kInterval{5};
    if (holders_.empty() || Clock::now() - counted_ > kInterval) {
      std::vector<std::string> shown;
      for (const auto& [socket, tiles] : last_tiles_) shown.push_back(tiles);
      holders_ = count_holders(shown);
      counted_ = Clock::now();
    }
    return {api::content(holders_), ui::Reply::After::GoOn};
  }

  const CtlCall& call_;
  std::map<std::string, std::string> last_tiles_;  // by socket
  std::string holders_;
  Clock::time_point counted_{};
};

}  // namespace

int write_page(const CtlCall& call) {
  const auto made = make_file(call);
  return made ? static_cast<int>(print("the memory's map is in " + call.html + "\n")) : fail(made.error());
}

int serve_page(const CtlCall& call) {
  // A guest that is not there is told of at once, one that has not started yet is waited for by the page.
  const auto there = ask_tiles(call.socket);
  if (!there && there.error().kind() != uvm::ErrorKind::Invalid) return fail(there.error());
  Relay relay(call);
  const auto server = ui::Loopback::open(call.port, [&relay](std::string_view path) { return relay(path); });
  if (!server) return fail(server.error());
  if (const ExitStatus shown = print((*server)->address() + "ui\n"); shown != ExitStatus::Ok) {
    return static_cast<int>(shown);
  }
  if (const int signal = (*server)->run(); signal != 0) return 128 + signal;
  print_notice("the guest has ended");
  return 0;
}

}  // namespace vmm::cli

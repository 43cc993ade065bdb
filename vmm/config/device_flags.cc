#include "vmm/config/device_flags.h"

#include <charconv>
#include <optional>
#include <string>
#include <utility>

#include "vmm/config/values.h"
#include "vmm/text.h"

namespace vmm::config {
namespace {

using virtio::net::BackEnd;
using NetOptions = virtio::net::Options;
using VsockOptions = virtio::vsock::Options;

constexpr const char* kNetworkForms =
    "say tap=NAME or passt[=SOCKET], then ,mac=02:… and ,id=NAME where wanted";
constexpr const char* kVsockForms = "say CID,SOCKET, as in 3,/run/guest.vsock";

/// Whether `item` is `key` itself, or `key=…`: its value then.
std::optional<std::string_view> value_of(std::string_view item, std::string_view key) {
  if (item == key) return std::string_view();
  if (!item.starts_with(key) || item.substr(key.size(), 1) != "=") return std::nullopt;
  return item.substr(key.size() + 1);
}

/// Which of the two it is, and the name in it.
uvm::Status set_link(std::string_view item, NetOptions& options) {
  if (const auto tap = value_of(item, "tap")) {
    options.back_end = BackEnd::Tap;
    options.tap = *tap;
  } else if (const auto passt = value_of(item, "passt")) {
    options.back_end = BackEnd::Passt;
    options.passt_socket = *passt;
  } else {
    return not_possible(item, kNetworkForms);
  }
  return uvm::ok();
}

uvm::Status set_more(std::string_view item, NetOptions& options) {
  if (const auto mac = value_of(item, "mac")) {
    UVMM_TRY(options.mac, parse_mac(*mac));
  } else if (const auto id = value_of(item, "id"); id && !id->empty()) {
    options.id = *id;
  } else if (const auto name = value_of(item, "ifname"); name && options.tap.empty()) {
    options.tap = *name;
  } else {
    return not_possible(item, kNetworkForms);
  }
  return uvm::ok();
}

constexpr const char* kBalloonForms =
    "say SIZE, then ,deflate-on-oom, ,reporting and ,stats=SECONDS where wanted";

uvm::Status set_more(std::string_view item, virtio::balloon::Options& options) {
  if (item == "deflate-on-oom") {
    options.out_of_memory = virtio::balloon::OutOfMemory::Deflate;
    return uvm::ok();
  }
  if (item == "reporting") {
    options.free_pages = virtio::balloon::FreePages::Reported;
    return uvm::ok();
  }
  const auto seconds = value_of(item, "stats");
  if (!seconds) return not_possible(item, kBalloonForms);
  const char* const end = seconds->data() + seconds->size();
  const auto [stop, error] = std::from_chars(seconds->data(), end, options.statistics_seconds);
  if (error == std::errc() && stop == end && options.statistics_seconds != 0) return uvm::ok();
  return not_possible(item, "stats= takes a whole number of seconds, from 1 on");
}

}  // namespace

uvm::Result<virtio::balloon::Options> parse_balloon(std::string_view text) {
  virtio::balloon::Options options;
  std::size_t comma = text.find(',');
  UVMM_TRY(options.bytes, parse_size(text.substr(0, comma)));
  while (comma != std::string_view::npos) {
    text.remove_prefix(comma + 1);
    comma = text.find(',');
    UVMM_CHECK(set_more(text.substr(0, comma), options));
  }
  return options;
}

uvm::Result<virtio::pmem::Options> parse_pmem(std::string_view text) {
  constexpr std::string_view kId = ",id=";
  virtio::pmem::Options options;
  const std::size_t at = text.rfind(kId);
  if (at != std::string_view::npos) options.id = text.substr(at + kId.size());
  const std::string_view path = text.substr(0, at);
  options.path = value_of(path, "file").value_or(path);
  if (!options.path.empty() && (at == std::string_view::npos || !options.id.empty())) return options;
  return not_possible(text, "say PATH, then ,id=NAME where wanted");
}

uvm::Result<NetOptions> parse_network(std::string_view text) {
  NetOptions options;
  std::size_t comma = text.find(',');
  UVMM_CHECK(set_link(text.substr(0, comma), options));
  while (comma != std::string_view::npos) {
    text.remove_prefix(comma + 1);
    comma = text.find(',');
    UVMM_CHECK(set_more(text.substr(0, comma), options));
  }
  if (options.back_end == BackEnd::Tap && options.tap.empty()) {
    return not_possible("tap", "name the interface, as in tap=tap0");
  }
  if (options.back_end == BackEnd::Passt && !options.tap.empty())
    return not_possible("ifname", kNetworkForms);
  return options;
}

uvm::Result<VsockOptions> parse_vsock(std::string_view text) {
  const std::size_t comma = text.find(',');
  if (comma == std::string_view::npos) return not_possible(text, kVsockForms);
  const std::string_view first = text.substr(0, comma);
  const std::string_view second = text.substr(comma + 1);
  const std::string_view cid = value_of(first, "cid").value_or(first);
  VsockOptions options;
  options.socket = value_of(second, "socket").value_or(second);
  const auto [stop, error] = std::from_chars(cid.data(), cid.data() + cid.size(), options.cid);
  if (error != std::errc() || stop != cid.data() + cid.size() || options.socket.empty()) {
    return not_possible(text, kVsockForms);
  }
  return options;
}

}  // namespace vmm::config

#include "vmm/gdb/options.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <array>
#include <charconv>

#include "vmm/text.h"

namespace vmm::gdb {
namespace {

constexpr std::string_view kForms = "write tcp:PORT, tcp:ADDRESS:PORT or unix:PATH";

uvm::Error invalid(std::string_view text, std::string_view why, std::string_view way_out = kForms) {
  constexpr std::size_t kShown = 120;
  return {uvm::ErrorKind::Invalid, "'" + one_line(text.substr(0, kShown)) + "' " + std::string(why),
          std::string(way_out)};
}

bool is_numeric(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> any{};
  return ::inet_pton(AF_INET, host.c_str(), any.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), any.data()) == 1;
}

uvm::Result<ListenAddress> parse_tcp(std::string_view whole, std::string_view text) {
  ListenAddress address;
  const std::size_t colon = text.rfind(':');
  const std::string_view port = colon == std::string_view::npos ? text : text.substr(colon + 1);
  std::string_view host = colon == std::string_view::npos ? std::string_view() : text.substr(0, colon);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (error != std::errc() || end != port.data() + port.size())
    return invalid(whole, "has no port from 0 to 65535 at its end");
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.empty() || host == "localhost") return address;
  address.host = host;
  if (!is_numeric(address.host)) {
    return invalid(whole, "names no numeric address", "write it as in tcp:127.0.0.1:1234 or tcp:[::1]:1234");
  }
  return address;
}

uvm::Result<ListenAddress> parse_unix(std::string_view whole, std::string_view path) {
  constexpr std::size_t kMost = sizeof(sockaddr_un::sun_path) - 1;
  if (path.empty()) return invalid(whole, "names no path");
  if (path.find('\0') != std::string_view::npos) return invalid(whole, "has a zero byte in its path");
  if (path.size() > kMost) {
    return invalid(whole, "is longer than a socket's path may be",
                   "use one of at most " + std::to_string(kMost) + " bytes");
  }
  ListenAddress address;
  address.path = path;
  return address;
}

}  // namespace

uvm::Result<ListenAddress> parse_listen_address(std::string_view text) {
  constexpr std::string_view kTcp = "tcp:";
  constexpr std::string_view kUnix = "unix:";
  if (text.starts_with(kTcp)) return parse_tcp(text, text.substr(kTcp.size()));
  if (text.starts_with(kUnix)) return parse_unix(text, text.substr(kUnix.size()));
  return invalid(text, "is no place to listen at");
}

std::string to_string(const ListenAddress& address) {
  if (!address.path.empty()) return "unix:" + address.path;
  const bool v6 = address.host.find(':') != std::string::npos;
  return "tcp:" + (v6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

}  // namespace vmm::gdb

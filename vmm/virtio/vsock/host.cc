#include "vmm/virtio/vsock/host.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <string_view>
#include <utility>

#include "vmm/log.h"
#include "vmm/virtio/guest_bytes.h"

namespace vmm::virtio::vsock {
namespace {

constexpr std::string_view kConnect = "CONNECT ";
constexpr std::size_t kMostLineBytes = 32;
/// Behind those that programs choose themselves.
constexpr std::uint32_t kFirstHostPort = 1U << 30;

/// The port in a line without its end; nothing: it is no such line.
std::optional<std::uint32_t> port_in(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (!line.starts_with(kConnect)) return std::nullopt;
  line.remove_prefix(kConnect.size());
  std::uint32_t port = 0;
  const auto [stop, error] = std::from_chars(line.data(), line.data() + line.size(), port);
  if (error != std::errc() || stop != line.data() + line.size()) return std::nullopt;
  return port;
}

}  // namespace

/// A program that has connected and not said yet where it wants to go.
class Host::Caller {
 public:
  Caller(Host& host, Fd socket)
      : host_(host), socket_(std::move(socket)), watch_(std::make_unique<FdWatch>(host.io_, socket_.get())) {}

  void wait() {
    watch_->wait(FdWatch::For::Reading, [this] { hear(); });
  }

 private:
  /// What comes behind the line is the guest's, so it is left where it is.
  void hear() {
    std::array<char, kMostLineBytes> text{};
    const ssize_t got = ::recv(socket_.get(), text.data(), text.size(), MSG_PEEK | MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return wait();
    const std::string_view said(text.data(), got < 0 ? 0 : static_cast<std::size_t>(got));
    const std::size_t end = said.find('\n');
    if (end == std::string_view::npos) {
      // A line in pieces: what is there was looked at and would wake us at once again.
      const bool goes_on = got > 0 && said.size() + heard_.size() < kMostLineBytes;
      if (!goes_on) return leave();
      heard_ += said;
      (void)::recv(socket_.get(), text.data(), said.size(), MSG_DONTWAIT);
      return wait();
    }
    heard_ += said.substr(0, end);
    (void)::recv(socket_.get(), text.data(), end + 1, MSG_DONTWAIT);
    const auto port = port_in(heard_);
    if (!port) return leave();
    watch_.reset();
    host_.call(*this, *port, std::move(socket_));
  }
  void leave() {
    log::event(log::Level::Debug, "a vsock client did not say where it wants to go", {{"said", heard_}});
    host_.callers_.erase(this);
  }

  Host& host_;
  Fd socket_;
  std::unique_ptr<FdWatch> watch_;
  std::string heard_;
};

Host::Host(Setup setup)
    : io_(setup.io),
      guest_cid_(setup.guest_cid),
      wake_(std::move(setup.wake)),
      listener_(std::move(setup.listener)) {}

Host::~Host() = default;

void Host::open() {
  if (!listener_ || acceptor_) return;
  acceptor_.emplace(io_, listener_->fd(), "vsock client could not be let in", [this](Fd socket, int) {
    if (callers_.size() >= kMostCallers) return;
    auto caller = std::make_unique<Caller>(*this, std::move(socket));
    Caller& here = *caller;
    callers_.emplace(&here, std::move(caller));
    here.wait();
  });
  acceptor_->start();
}

void Host::close() {
  acceptor_.reset();
  callers_.clear();
  connections_.clear();
  ready_.clear();
  is_ready_.clear();
  answers_.clear();
}

// ---- from the guest

bool Host::take(const Header& header, std::span<const iovec> data) {
  if (header.source_cid != guest_cid_ || header.destination_cid != kHostCid) return false;
  if (header.bytes > size_of(data)) return false;
  const auto operation = static_cast<Operation>(header.operation);
  const Ports ports{header.destination_port, header.source_port};
  const auto found = connections_.find(ports);
  if (header.type != kStream) {
    if (operation != Operation::Reset) answer_reset(header);
  } else if (found != connections_.end()) {
    std::vector<iovec> exact(data.begin(), data.end());
    std::size_t left = header.bytes;
    for (iovec& part : exact) left -= part.iov_len = std::min(part.iov_len, left);
    found->second->take(header, exact);
    look_at(ports);
  } else if (operation == Operation::Request) {
    connect_guest(ports);
    const auto made = connections_.find(ports);
    made != connections_.end() ? made->second->hear(header) : answer_reset(header);
  } else if (operation != Operation::Reset) {
    answer_reset(header);
  }
  return true;
}

void Host::connect_guest(Ports ports) {
  if (!listener_ || !make_room()) return;
  const std::string path = listener_->path() + "_" + std::to_string(ports.host);
  auto socket = connect_to(path);
  if (!socket) {
    return log::event(log::Level::Debug, "nobody listens for the guest's connection",
                      {{"error", socket.error().text()}});
  }
  add(ports, *std::move(socket), Connection::CalledBy::Guest);
}

void Host::answer_reset(const Header& to) {
  if (is_full()) return;
  Header answer;
  answer.source_cid = kHostCid;
  answer.destination_cid = guest_cid_;
  answer.source_port = to.destination_port;
  answer.destination_port = to.source_port;
  answer.type = to.type;
  answer.operation = static_cast<std::uint16_t>(Operation::Reset);
  answers_.push_back(answer);
}

// ---- from the host

void Host::call(const Caller& caller, std::uint32_t guest_port, Fd socket) {
  if (make_room()) add(free_ports(guest_port), std::move(socket), Connection::CalledBy::Host);
  callers_.erase(&caller);
  wake_();
}

Ports Host::free_ports(std::uint32_t guest_port) {
  Ports ports{0, guest_port};
  do {
    ports.host = next_port_;
    next_port_ = std::max(kFirstHostPort, (next_port_ + 1) & 0x7fff'ffff);
  } while (connections_.contains(ports));
  return ports;
}

void Host::add(Ports ports, Fd socket, Connection::CalledBy called_by) {
  connections_.emplace(
      ports, std::make_unique<Connection>(Connection::Setup{io_, guest_cid_, ports, std::move(socket),
                                                            called_by, [this, ports] { woken(ports); }}));
  mark(ports);
}

/// Room for one more: of those that only wait for the guest to say farewell, one goes without.
bool Host::make_room() {
  if (connections_.size() < kMostConnections) return true;
  const auto lingering =
      std::ranges::find_if(connections_, [](const auto& each) { return each.second->is_lingering(); });
  if (lingering == connections_.end()) {
    log::event(log::Level::Warning, "no more vsock connections are possible",
               {{"connections", connections_.size()}});
    return false;
  }
  Header last;
  last.destination_port = lingering->first.host;
  last.source_port = lingering->first.guest;
  connections_.erase(lingering);
  answer_reset(last);
  return true;
}

// ---- to the guest

void Host::mark(Ports ports) {
  if (is_ready_.insert(ports).second) ready_.push_back(ports);
}

void Host::woken(Ports ports) {
  look_at(ports);
  std::erase_if(orphans_, [](const auto& each) { return each.second->is_over(); });
  wake_();
}

void Host::look_at(Ports ports) {
  const auto found = connections_.find(ports);
  if (found == connections_.end()) return;
  Connection& connection = *found->second;
  if (connection.has_something()) mark(ports);
  if (!connection.is_forgotten()) return;
  if (!connection.is_over() && orphans_.size() < kMostOrphans) {
    orphans_.emplace(&connection, std::move(found->second));
  }
  connections_.erase(found);
}

std::optional<Header> Host::give(std::span<const iovec> room) {
  if (!answers_.empty()) {
    const Header answer = answers_.front();
    answers_.pop_front();
    return answer;
  }
  // Each once: what has no room for its data in this buffer stays ready.
  for (std::size_t left = ready_.size(); left > 0; --left) {
    const Ports ports = ready_.front();
    ready_.pop_front();
    is_ready_.erase(ports);
    const auto found = connections_.find(ports);
    if (found == connections_.end()) continue;
    auto packet = found->second->give(room);
    look_at(ports);
    if (packet) return packet;
  }
  return std::nullopt;
}

}  // namespace vmm::virtio::vsock

#include "vmm/ui/loopback.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <csignal>
#include <exception>
#include <optional>
#include <utility>

#include "vmm/log.h"
#include "vmm/ui/secret.h"

namespace vmm::ui {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Request = http::request<http::empty_body>;
using asio::ip::tcp;

constexpr std::chrono::seconds kPatience{10};
constexpr std::uint32_t kMostHeader = 16384;  // bytes: browsers send cookies of other servers of this host
constexpr std::size_t kMostSessions = 32;

std::string_view view(beast::string_view text) {
  return {text.data(), text.size()};
}

/// What every session needs to know.
struct Site {
  std::uint16_t port;
  std::string secret;
  Loopback::Serve serve;
  std::function<void()> end;
  std::size_t sessions = 0;
};

bool is_own_host(const Site& site, std::string_view host) {
  const std::string port = ":" + std::to_string(site.port);
  return host == "127.0.0.1" + port || host == "localhost" + port;
}

bool is_own_origin(const Site& site, std::string_view origin) {
  constexpr std::string_view kScheme = "http://";
  return origin.starts_with(kScheme) && is_own_host(site, origin.substr(kScheme.size()));
}

/// Whether it is a request of this server's own page, or of whoever typed its address.
std::optional<api::Answer> refuse(const Site& site, const Request& request) {
  if (!is_own_host(site, view(request[http::field::host]))) {
    return api::fault(403, "This server is 127.0.0.1:" + std::to_string(site.port) + ", and no other.");
  }
  const std::string_view origin = view(request[http::field::origin]);
  if (!origin.empty() && !is_own_origin(site, origin)) {
    return api::fault(403, "Other pages get nothing here.");
  }
  const std::string_view from = view(request["Sec-Fetch-Site"]);
  if (!from.empty() && from != "same-origin" && from != "none") {
    return api::fault(403, "Other pages get nothing here.");
  }
  if (request.method() != http::verb::get) return api::fault(405, "There is nothing here but to look at.");
  return std::nullopt;
}

Reply reply_to(const Site& site, const Request& request) {
  if (auto refused = refuse(site, request)) return {*std::move(refused), Reply::After::GoOn};
  std::string_view path = view(request.target());
  const std::string prefix = "/" + site.secret + "/";
  if (!path.starts_with(prefix)) return {api::fault(404, "Nothing is here."), Reply::After::GoOn};
  path.remove_prefix(prefix.size());
  return site.serve(path.substr(0, path.find('?')));
}

/// A browser's connection. Keeps itself alive while something is under way.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, Site& site) : stream_(std::move(socket)), site_(site) { ++site_.sessions; }
  ~Session() { --site_.sessions; }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void read() {
    parser_.emplace();
    parser_->header_limit(kMostHeader);
    stream_.expires_after(kPatience);
    http::async_read(stream_, buffer_, *parser_,
                     [me = shared_from_this()](const beast::error_code& error, std::size_t) {
                       if (!error) me->write(reply_to(me->site_, me->parser_->get()));
                     });
  }

 private:
  void write(Reply reply) {
    const bool keep_alive = parser_->get().keep_alive() && reply.after == Reply::After::GoOn;
    response_ = {};
    response_.result(reply.answer.status);
    response_.set(http::field::content_type, reply.answer.type);
    response_.set(http::field::cache_control, "no-store");
    response_.set("X-Content-Type-Options", "nosniff");
    response_.set("Cross-Origin-Resource-Policy", "same-origin");
    response_.set("Referrer-Policy", "no-referrer");
    if (!reply.answer.policy.empty()) response_.set("Content-Security-Policy", reply.answer.policy);
    response_.keep_alive(keep_alive);
    response_.body() = std::move(reply.answer.body);
    response_.prepare_payload();
    stream_.expires_after(kPatience);
    http::async_write(stream_, response_,
                      [me = shared_from_this(), keep_alive, after = reply.after](
                          const beast::error_code& error, std::size_t) {
                        if (after == Reply::After::End) return me->site_.end();
                        if (!error && keep_alive) me->read();
                      });
  }

  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::empty_body>> parser_;
  http::response<http::string_body> response_;
  Site& site_;
};

class Server final : public Loopback {
 public:
  Server(std::string secret, Serve serve)
      : site_{0, std::move(secret), std::move(serve), [this] { io_.stop(); }} {}

  [[nodiscard]] uvm::Status listen(std::uint16_t port);
  [[nodiscard]] std::string address() const override {
    return "http://127.0.0.1:" + std::to_string(site_.port) + "/" + site_.secret + "/";
  }
  [[nodiscard]] int run() override;

 private:
  void accept();

  Site site_;  // outlives the sessions, which `io_` holds
  asio::io_context io_{1};
  tcp::acceptor acceptor_{io_};
  asio::steady_timer retry_{io_};
};

uvm::Status Server::listen(std::uint16_t port) {
  const tcp::endpoint endpoint(asio::ip::address_v4::loopback(), port);
  boost::system::error_code error;
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(tcp::acceptor::max_listen_connections, error);
  if (!error) site_.port = acceptor_.local_endpoint(error).port();
  if (!error) return uvm::ok();
  const std::string where = "127.0.0.1:" + std::to_string(port);
  if (error == asio::error::address_in_use) {
    return uvm::Error(uvm::ErrorKind::Busy, where + ": somebody listens there",
                      "leave --port out, and the system chooses one");
  }
  return uvm::Error::from_errno(error.value(), "listening at " + where);
}

void Server::accept() {
  acceptor_.async_accept([this](const boost::system::error_code& error, tcp::socket socket) {
    if (error == asio::error::operation_aborted) return;
    if (error) {  // no room for another: it stays in the queue
      retry_.expires_after(std::chrono::seconds(1));
      return retry_.async_wait([this](const boost::system::error_code& ended) {
        if (!ended) accept();
      });
    }
    if (site_.sessions < kMostSessions) std::make_shared<Session>(std::move(socket), site_)->read();
    accept();
  });
}

int Server::run() {
  int ended_by = 0;
  asio::signal_set signals(io_, SIGINT, SIGTERM, SIGHUP);
  signals.async_wait([&](const boost::system::error_code& error, int number) {
    if (error) return;
    ended_by = number;
    io_.stop();
  });
  accept();
  for (;;) {
    try {
      io_.run();
      return ended_by;
    } catch (const std::exception& failure) {
      log::event(log::Level::Error, "a request to the page's server failed", {{"error", failure.what()}});
    }
  }
}

}  // namespace

uvm::Result<std::unique_ptr<Loopback>> Loopback::open(std::uint16_t port, Serve serve) {
  UVMM_TRY(std::string secret, make_secret());
  auto server = std::make_unique<Server>(std::move(secret), std::move(serve));
  UVMM_CHECK(server->listen(port));
  return std::unique_ptr<Loopback>(std::move(server));
}

}  // namespace vmm::ui

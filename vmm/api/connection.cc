#include "vmm/api/connection.h"

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <deque>
#include <exception>
#include <optional>
#include <utility>

#include "vmm/log.h"

namespace vmm::api {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Local = asio::local::stream_protocol;

constexpr std::chrono::seconds kIdleLimit{10};

std::string_view view(beast::string_view text) {
  return {text.data(), text.size()};
}

class HttpConnection final : public Connection {
 public:
  HttpConnection(asio::io_context& io, Fd socket, Callbacks callbacks)
      : stream_(Local::socket(io, Local(), socket.release())), callbacks_(std::move(callbacks)) {}

  void serve() override { wait(); }
  void send_line(const std::string& line) override;
  void close() override;

 private:
  enum class Life : std::uint8_t { Serving, Streaming, Closing, Closed };

  /// For the first byte of a request, however long that takes.
  void wait();
  void read();
  void take(const beast::error_code& error);
  [[nodiscard]] Answer handle() const;
  /// What a request that cannot be read is told; nothing to those who have gone.
  [[nodiscard]] std::optional<Answer> complaint(const beast::error_code& error) const;
  void write(Answer answer, bool keep_alive);
  void begin_stream();
  void write_lines();
  void watch();
  void end();

  std::shared_ptr<HttpConnection> self() {
    return std::static_pointer_cast<HttpConnection>(shared_from_this());
  }

  beast::basic_stream<Local> stream_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<http::response<http::string_body>> response_;
  std::optional<http::response<http::empty_body>> heading_;
  std::optional<http::response_serializer<http::empty_body>> heading_writer_;
  const Callbacks callbacks_;
  std::deque<std::string> lines_;  // of a stream; the first is being written
  bool writing_ = false;
  Life life_ = Life::Serving;
};

void HttpConnection::wait() {
  if (buffer_.size() != 0) return read();
  stream_.expires_never();
  stream_.socket().async_wait(Local::socket::wait_read, [me = self()](const beast::error_code& error) {
    if (me->life_ != Life::Serving) return;
    error ? me->end() : me->read();
  });
}

void HttpConnection::read() {
  parser_.emplace();
  parser_->body_limit(kMostBody);
  parser_->header_limit(kMostHeader);
  stream_.expires_after(kIdleLimit);
  http::async_read(stream_, buffer_, *parser_,
                   [me = self()](const beast::error_code& error, std::size_t) { me->take(error); });
}

std::optional<Answer> HttpConnection::complaint(const beast::error_code& error) const {
  if (error == http::error::body_limit) {
    return fault(
        413, "The body of a request is larger than the limit of " + std::to_string(kMostBody) + " bytes.");
  }
  if (error == http::error::header_limit) {
    return fault(431, "The header of a request is larger than the limit of " + std::to_string(kMostHeader) +
                          " bytes.");
  }
  if (error == http::error::end_of_stream || error == http::error::partial_message) return std::nullopt;
  if (error.category() == http::make_error_code(http::error::bad_method).category()) {
    return fault(400, "This is no HTTP request: " + error.message() + ".");
  }
  return std::nullopt;
}

Answer HttpConnection::handle() const {
  const auto& message = parser_->get();
  Request request;
  switch (message.method()) {
    case http::verb::get:
      request.method = Method::Get;
      break;
    case http::verb::put:
      request.method = Method::Put;
      break;
    case http::verb::patch:
      request.method = Method::Patch;
      break;
    default:
      return fault(400, "Invalid request method and/or path: " + std::string(view(message.method_string())) +
                            " " + std::string(view(message.target()).substr(0, 200)) + ".");
  }
  const std::string_view target = view(message.target());
  request.path = target.substr(0, target.find('?'));
  request.body = message.body();
  return callbacks_.answer(request);
}

void HttpConnection::take(const beast::error_code& error) {
  if (life_ != Life::Serving) return end();
  if (error) {
    auto answer = complaint(error);
    return answer ? write(*std::move(answer), false) : end();
  }
  Answer answer;
  try {
    answer = handle();
  } catch (const std::exception& failure) {
    answer = fault(500, failure.what());
  }
  if (answer.kind == Answer::Kind::Stream) return begin_stream();
  write(std::move(answer), parser_->get().keep_alive());
}

void HttpConnection::write(Answer answer, bool keep_alive) {
  response_.emplace(http::int_to_status(answer.status), 11U);
  response_->set(http::field::server, "uvmm");
  if (answer.status != 204) response_->set(http::field::content_type, answer.type);
  if (!answer.policy.empty()) {
    response_->set("Content-Security-Policy", answer.policy);
    response_->set("X-Content-Type-Options", "nosniff");
    response_->set(http::field::cache_control, "no-store");
  }
  response_->keep_alive(keep_alive);
  response_->body() = std::move(answer.body);
  if (answer.status != 204) response_->prepare_payload();
  stream_.expires_after(kIdleLimit);
  http::async_write(stream_, *response_,
                    [me = self(), keep_alive](const beast::error_code& error, std::size_t) {
                      error || !keep_alive || me->life_ != Life::Serving ? me->end() : me->wait();
                    });
}

void HttpConnection::begin_stream() {
  life_ = Life::Streaming;
  heading_.emplace(http::status::ok, 11U);
  heading_->set(http::field::server, "uvmm");
  heading_->set(http::field::content_type, "application/x-ndjson");
  heading_->chunked(true);
  heading_writer_.emplace(*heading_);
  writing_ = true;
  stream_.expires_after(kIdleLimit);
  http::async_write_header(stream_, *heading_writer_,
                           [me = self()](const beast::error_code& error, std::size_t) {
                             me->writing_ = false;
                             if (error) return me->end();
                             me->watch();
                             me->write_lines();
                           });
}

/// Whoever reads a stream has nothing more to say: what comes is its end.
void HttpConnection::watch() {
  stream_.socket().async_wait(Local::socket::wait_read, [me = self()](const beast::error_code& error) {
    if (!error) me->end();
  });
}

void HttpConnection::send_line(const std::string& line) {
  if (life_ != Life::Streaming) return;
  if (lines_.size() >= kMostWaitingLines) {
    log::event(log::Level::Warning, "a reader of events is too slow and is let go");
    return end();
  }
  lines_.push_back(line + "\n");
  write_lines();
}

void HttpConnection::write_lines() {
  if (writing_ || life_ == Life::Closed) return;
  if (lines_.empty()) {
    if (life_ != Life::Closing) return stream_.expires_never();
    writing_ = true;
    asio::async_write(stream_, http::make_chunk_last(),
                      [me = self()](const beast::error_code&, std::size_t) { me->end(); });
    return;
  }
  writing_ = true;
  stream_.expires_after(kIdleLimit);
  asio::async_write(stream_, http::make_chunk(asio::buffer(lines_.front())),
                    [me = self()](const beast::error_code& error, std::size_t) {
                      me->writing_ = false;
                      if (error) return me->end();
                      me->lines_.pop_front();
                      me->write_lines();
                    });
}

void HttpConnection::close() {
  if (life_ == Life::Streaming) {
    life_ = Life::Closing;
    return write_lines();
  }
  end();
}

void HttpConnection::end() {
  if (std::exchange(life_, Life::Closed) == Life::Closed) return;
  beast::error_code ignored;
  stream_.socket().shutdown(Local::socket::shutdown_both, ignored);
  stream_.close();
  callbacks_.gone(*this);
}

}  // namespace

std::shared_ptr<Connection> Connection::create(asio::io_context& io, Fd socket, Callbacks callbacks) {
  return std::make_shared<HttpConnection>(io, std::move(socket), std::move(callbacks));
}

}  // namespace vmm::api

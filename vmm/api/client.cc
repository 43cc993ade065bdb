#include "vmm/api/client.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <limits>
#include <utility>

#include "vmm/pin_client/local_socket.h"
#include "vmm/text.h"

namespace vmm::api {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace json = boost::json;
using Local = asio::local::stream_protocol;
using uvm::Error;
using uvm::ErrorKind;

constexpr timeval kAnswerLimit{60, 0};

Error failed(const std::string& socket, const beast::error_code& error) {
  if (error == asio::error::would_block || error == asio::error::try_again) {
    return {ErrorKind::Busy, "API " + socket + ": no answer within a minute"};
  }
  return {ErrorKind::System, "API " + socket + ": " + error.message(),
          "see whether the machine still runs, and this is its API's socket"};
}

/// Connected, and patient for so long.
uvm::Result<Local::socket> connect(asio::io_context& io, const std::string& path, timeval patience) {
  UVMM_TRY(Fd fd, pins::connect_to(path, pins::SocketKind::Stream));
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return Local::socket(io, Local(), fd.release());
}

http::verb verb_of(Method method) {
  if (method == Method::Get) return http::verb::get;
  return method == Method::Put ? http::verb::put : http::verb::patch;
}

uvm::Status send(Local::socket& stream, const std::string& socket, const Request& request) {
  http::request<http::string_body> message(verb_of(request.method), request.path, 11U);
  message.set(http::field::host, "localhost");
  message.set(http::field::accept, "application/json");
  message.body() = request.body;
  if (request.method != Method::Get) message.set(http::field::content_type, "application/json");
  message.prepare_payload();
  beast::error_code error;
  http::write(stream, message, error);
  if (error) return failed(socket, error);
  return uvm::ok();
}

/// The fault_message of an answer, or what the answer is.
std::string refusal(unsigned status, const std::string& body) {
  json::error_code error;
  const json::value value = json::parse(body, error);
  if (!error && value.is_object()) {
    const json::value* const text = value.get_object().if_contains("fault_message");
    if (text != nullptr && text->is_string()) return one_line(text->get_string());
  }
  return "status " + std::to_string(status);
}

}  // namespace

uvm::Result<std::string> ask(const std::string& socket, const Request& request) {
  asio::io_context io;
  UVMM_TRY(Local::socket stream, connect(io, socket, kAnswerLimit));
  UVMM_CHECK(send(stream, socket, request));
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(std::numeric_limits<std::uint32_t>::max());
  beast::error_code error;
  http::read(stream, buffer, parser, error);
  if (error) return failed(socket, error);
  auto& response = parser.get();
  if (response.result_int() < 300) return std::move(response.body());
  return Error(ErrorKind::Invalid, refusal(response.result_int(), response.body()));
}

uvm::Status follow(const std::string& socket, const std::string& path,
                   const std::function<bool(const std::string& line)>& take) {
  asio::io_context io;
  UVMM_TRY(Local::socket stream, connect(io, socket, timeval{}));
  UVMM_CHECK(send(stream, socket, Request{Method::Get, path, {}}));
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(std::numeric_limits<std::uint64_t>::max());
  beast::error_code error;
  http::read_header(stream, buffer, parser, error);
  if (error) return failed(socket, error);
  std::string& body = parser.get().body();
  while (!parser.is_done()) {
    http::read_some(stream, buffer, parser, error);
    if (error) return failed(socket, error);
    for (auto end = body.find('\n'); end != std::string::npos; end = body.find('\n')) {
      const std::string line = body.substr(0, end);
      body.erase(0, end + 1);
      if (!take(line)) return uvm::ok();
    }
  }
  return uvm::ok();
}

}  // namespace vmm::api

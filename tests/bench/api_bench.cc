// One round trip over the API, beside one of a bare HTTP server (Beast, without anything behind it) in the
// same process: what routing, parsing and the machine's thread add. The API's is to be 1 ms at most.
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/fake_guest.h"
#include "vmm/api/server.h"

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using Local = asio::local::stream_protocol;

constexpr int kRounds = 4000;

/// Answers whatever comes with 204, on one connection, until it ends.
void echo(Local::acceptor& acceptor, asio::io_context& io) {
  Local::socket socket(io);
  acceptor.accept(socket);
  boost::beast::flat_buffer buffer;
  boost::system::error_code error;
  while (!error) {
    http::request<http::string_body> request;
    http::read(socket, buffer, request, error);
    if (error) return;
    http::response<http::empty_body> response(http::status::no_content, 11U);
    http::write(socket, response, error);
  }
}

/// Microseconds of each of many requests on one connection, sorted.
std::vector<double> measure(const std::string& path, const http::request<http::string_body>& request) {
  asio::io_context io;
  Local::socket socket(io);
  socket.connect(Local::endpoint(path));
  boost::beast::flat_buffer buffer;
  std::vector<double> times;
  for (int i = 0; i < kRounds; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    http::write(socket, request);
    http::response<http::string_body> response;
    http::read(socket, buffer, response);
    const std::chrono::duration<double, std::micro> spent = std::chrono::steady_clock::now() - begin;
    times.push_back(spent.count());
  }
  std::sort(times.begin(), times.end());
  return times;
}

void report(const char* name, const std::vector<double>& times, double base) {
  const double median = times[times.size() / 2];
  std::printf("%-34s %8.1f us median, %8.1f us of 99%%, %5.2f times the bare server\n", name, median,
              times[times.size() * 99 / 100], median / base);
}

http::request<http::string_body> request(http::verb verb, const char* target, const std::string& body) {
  http::request<http::string_body> message(verb, target, 11U);
  message.body() = body;
  message.prepare_payload();
  return message;
}

}  // namespace

int main() {
  const std::string base = "/tmp/uvmm-bench-api-" + std::to_string(::getpid());
  asio::io_context io;
  Local::acceptor acceptor(io, Local::endpoint(base + ".echo"));
  std::thread bare([&] { echo(acceptor, io); });
  const auto get = request(http::verb::get, "/", {});
  const auto bare_times = measure(base + ".echo", get);
  bare.join();
  ::unlink((base + ".echo").c_str());

  test::FakeLauncher launcher;
  auto server = vmm::api::Server::create(base + ".api", vmm::MachineConfig{}, launcher);
  if (!server || !(*server)->start()) {
    std::printf("the API does not come up\n");
    return 1;
  }
  const auto put = request(http::verb::put, "/machine-config", R"({"vcpu_count": 2, "mem_size_mib": 512})");
  const double bare_median = bare_times[bare_times.size() / 2];
  report("bare server", bare_times, bare_median);
  report("GET /", measure(base + ".api", get), bare_median);
  const auto put_times = measure(base + ".api", put);
  report("PUT /machine-config", put_times, bare_median);
  const bool good = put_times[put_times.size() / 2] <= 1000;
  std::printf("%s: a round trip of 1 ms at most\n", good ? "met" : "MISSED");
  return good ? 0 : 1;
}

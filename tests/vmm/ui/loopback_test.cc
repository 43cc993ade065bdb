// The server for browsers, from the side of those who are not welcome.
#include "vmm/ui/loopback.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <string>
#include <thread>

#include "vmm/kvm/fd.h"

namespace vmm::ui {
namespace loopback_test {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class LoopbackTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = Loopback::open(0, [](std::string_view path) -> Reply {
      if (path == "page") return {{200, "the page", "text/html", api::Answer::Kind::Whole, "policy"}};
      if (path == "end") return {api::fault(502, "it has ended"), Reply::After::End};
      return {api::fault(404, "no")};
    });
    ASSERT_TRUE(opened) << opened.error().text();
    server_ = *std::move(opened);
    const std::string address = server_->address();
    const auto colon = address.rfind(':');
    port_ = static_cast<std::uint16_t>(std::stoul(address.substr(colon + 1)));
    path_ = address.substr(address.find('/', colon));
    thread_ = std::thread([this] { ended_by_ = server_->run(); });
  }
  void TearDown() override {
    if (!thread_.joinable()) return;
    static_cast<void>(get("end"));
    thread_.join();
    EXPECT_EQ(ended_by_, 0);
  }
  [[nodiscard]] std::string own() const { return "127.0.0.1:" + std::to_string(port_); }
  /// A whole answer, or nothing.
  [[nodiscard]] std::string raw(const std::string& request) const {
    const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port_);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    EXPECT_EQ(::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(request.size()));
    ::shutdown(fd.get(), SHUT_WR);
    std::string got;
    char byte = 0;
    while (::recv(fd.get(), &byte, 1, 0) == 1) got += byte;
    return got;
  }
  [[nodiscard]] std::string ask(const std::string& method, const std::string& path, const std::string& host,
                                const std::string& more = {}) const {
    return raw(method + " " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n" + more +
               "\r\n");
  }
  [[nodiscard]] std::string get(const std::string& name, const std::string& more = {}) const {
    return ask("GET", path_ + name, own(), more);
  }

  std::unique_ptr<Loopback> server_;
  std::uint16_t port_ = 0;
  std::string path_;  // with the secret
  int ended_by_ = -1;
  std::thread thread_;
};

constexpr const char* kGood = "HTTP/1.1 200 ";
constexpr const char* kForbidden = "HTTP/1.1 403 ";

TEST_F(LoopbackTest, AnswersItsOwnPage) {
  const std::string answer = get("page");
  EXPECT_THAT(answer, StartsWith(kGood));
  for (const char* part :
       {"the page", "Content-Security-Policy: policy\r\n", "X-Content-Type-Options: nosniff\r\n",
        "Cross-Origin-Resource-Policy: same-origin\r\n", "Referrer-Policy: no-referrer\r\n",
        "Cache-Control: no-store\r\n"}) {
    EXPECT_THAT(answer, HasSubstr(part));
  }
  EXPECT_THAT(ask("GET", path_ + "page", "localhost:" + std::to_string(port_)), StartsWith(kGood));
  EXPECT_THAT(get("page", "Origin: http://" + own() + "\r\nSec-Fetch-Site: same-origin\r\n"),
              StartsWith(kGood));
  EXPECT_THAT(get("page", "Sec-Fetch-Site: none\r\n"), StartsWith(kGood));
}

TEST_F(LoopbackTest, RefusesNamesThatWereMadeToMeanIt) {
  const std::string port = ":" + std::to_string(port_);
  for (const std::string& host :
       {"evil.example" + port, "127.0.0.1.evil.example" + port, std::string("127.0.0.1"),
        std::string("127.0.0.1:1"), std::string(), "127.0.0.1" + port + "0"}) {
    EXPECT_THAT(ask("GET", path_ + "page", host), StartsWith(kForbidden)) << host;
  }
  EXPECT_THAT(raw("GET " + path_ + "page HTTP/1.0\r\n\r\n"), StartsWith("HTTP/1.1 403 ")) << "no Host at all";
}

TEST_F(LoopbackTest, RefusesWhatOtherPagesAskFor) {
  for (const std::string header :
       {"Origin: https://evil.example", "Origin: null", "Origin: https://127.0.0.1",
        "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"}) {
    const std::string answer = get("page", header + "\r\n");
    EXPECT_THAT(answer, StartsWith(kForbidden)) << header;
    EXPECT_THAT(answer, Not(HasSubstr("the page")));
    EXPECT_THAT(answer, Not(HasSubstr("Access-Control"))) << header;
  }
}

TEST_F(LoopbackTest, RefusesWhoDoesNotKnowTheSecret) {
  for (const std::string& path :
       {std::string("/"), std::string("/page"), std::string("/ui"), "/" + std::string(32, '0') + "/page",
        path_.substr(0, path_.size() - 2) + "/page"}) {
    EXPECT_THAT(ask("GET", path, own()), StartsWith("HTTP/1.1 404 ")) << path;
  }
}

TEST_F(LoopbackTest, LetsNothingBeChanged) {
  for (const char* method : {"POST", "PUT", "PATCH", "DELETE", "OPTIONS"}) {
    EXPECT_THAT(ask(method, path_ + "page", own()), StartsWith("HTTP/1.1 405 ")) << method;
  }
  // With a body, too: it is never taken.
  EXPECT_THAT(get("page", "Content-Length: 3\r\n\r\nabc"), Not(HasSubstr("the page")));
  EXPECT_EQ(raw("rubbish\r\n\r\n"), "");
}

TEST_F(LoopbackTest, EndsWithTheLastReply) {
  EXPECT_THAT(get("end"), HasSubstr("it has ended"));
  thread_.join();
  EXPECT_EQ(ended_by_, 0);
}

TEST_F(LoopbackTest, SaysThatAPortIsTaken) {
  const auto second = Loopback::open(port_, [](std::string_view) { return Reply(); });
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), uvm::ErrorKind::Busy);
  EXPECT_THAT(second.error().text(), HasSubstr(own()));
}

}  // namespace loopback_test
}  // namespace vmm::ui

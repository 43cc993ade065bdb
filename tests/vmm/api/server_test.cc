// The API's socket from the side of somebody who means no good, or does not know better.
#include "vmm/api/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/eventually.h"
#include "tests/support/fake_guest.h"
#include "tests/support/socket_path.h"
#include "vmm/api/client.h"
#include "vmm/api/connection.h"
#include "vmm/pin_client/local_socket.h"

namespace vmm::api {
namespace api_server_test {

using ::testing::HasSubstr;
using ::testing::StartsWith;

/// A connection that sends bytes as they are.
class RawClient {
 public:
  explicit RawClient(const std::string& path) : fd_(*pins::connect_to(path, pins::SocketKind::Stream)) {
    const timeval patience{30, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  void send(const std::string& bytes) const {
    std::size_t at = 0;
    while (at < bytes.size()) {
      const ssize_t sent = ::send(fd_.get(), bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (sent <= 0) return;
      at += static_cast<std::size_t>(sent);
    }
  }
  void finish() const { ::shutdown(fd_.get(), SHUT_WR); }
  /// Until `end` has come, or the connection's end.
  std::string receive(const std::string& end) {
    std::string got;
    char byte = 0;
    while (!got.ends_with(end) && ::recv(fd_.get(), &byte, 1, 0) == 1) got += byte;
    return got;
  }
  std::string receive_all() { return receive(std::string(1, '\xff')); }

 private:
  Fd fd_;
};

class ApiServer : public testing::Test {
 protected:
  void SetUp() override {
    auto server = Server::create(path_, MachineConfig{}, launcher_);
    ASSERT_TRUE(server) << server.error().text();
    server_ = *std::move(server);
    ASSERT_TRUE(server_->start());
  }
  void TearDown() override { EXPECT_TRUE(ask(path_, {Method::Get, "/", {}})); }

  static std::string put(const std::string& path, const std::string& body) {
    return "PUT " + path + " HTTP/1.1\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }

  const std::string path_ = test::socket_path("api");
  test::FakeLauncher launcher_;
  std::unique_ptr<Server> server_;
};

TEST_F(ApiServer, IsItsOwnersAlone) {
  struct stat info {};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  EXPECT_FALSE(Server::create(path_, MachineConfig{}, launcher_));
}

TEST_F(ApiServer, AnswersAsFirecrackerDoes) {
  RawClient client(path_);
  client.send(put("/machine-config", R"({"vcpu_count": 2, "mem_size_mib": 64})"));
  const std::string good = client.receive("\r\n\r\n");
  EXPECT_THAT(good, StartsWith("HTTP/1.1 204 No Content\r\n"));
  client.send(put("/machine-config", "{"));
  const std::string bad = client.receive("}");
  EXPECT_THAT(bad, StartsWith("HTTP/1.1 400 Bad Request\r\n"));
  EXPECT_THAT(bad, HasSubstr("Content-Type: application/json"));
  EXPECT_THAT(bad, HasSubstr("{\"fault_message\":\""));
}

TEST_F(ApiServer, AnswersWhatComesAllAtOnceInItsOrder) {
  RawClient client(path_);
  std::string all;
  for (int i = 1; i <= 16; ++i) {
    all += put("/machine-config", "{\"vcpu_count\": " + std::to_string(i) + ", \"mem_size_mib\": 64}");
    all += "GET /machine-config HTTP/1.1\r\n\r\n";
  }
  client.send(all + "GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
  const std::string answers = client.receive_all();
  std::size_t at = 0;
  for (int i = 1; i <= 16; ++i) {
    const std::string wanted = "\"vcpu_count\":" + std::to_string(i) + ",";
    at = answers.find(wanted, at);
    ASSERT_NE(at, std::string::npos) << wanted;
  }
}

TEST_F(ApiServer, RefusesWhatIsTooLarge) {
  RawClient body(path_);
  body.send("PUT /boot-source HTTP/1.1\r\nContent-Length: " + std::to_string(kMostBody + 1) + "\r\n\r\n");
  EXPECT_THAT(body.receive_all(), StartsWith("HTTP/1.1 413 "));
  RawClient chunked(path_);
  chunked.send("PUT /boot-source HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n" +
               std::string(0x10000, ' ') + "\r\n0\r\n\r\n");
  EXPECT_THAT(chunked.receive_all(), StartsWith("HTTP/1.1 413 "));
  RawClient header(path_);
  header.send("GET / HTTP/1.1\r\nX: " + std::string(kMostHeader, 'x') + "\r\n\r\n");
  EXPECT_THAT(header.receive_all(), StartsWith("HTTP/1.1 431 "));
  RawClient fits(path_);
  fits.send(put("/boot-source", std::string(kMostBody, ' ')));
  EXPECT_THAT(fits.receive("}"), HasSubstr("400 Bad Request"));
}

TEST_F(ApiServer, RefusesWhatIsNoHttp) {
  for (const char* bytes : {"rubbish\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
                            "\x16\x03\x01\r\n\r\n", "PUT / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
                            "PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"}) {
    RawClient client(path_);
    client.send(bytes);
    EXPECT_THAT(client.receive_all(), HasSubstr("fault_message")) << bytes;
  }
  for (const char* method : {"DELETE", "POST", "HEAD", "OPTIONS"}) {
    RawClient client(path_);
    client.send(std::string(method) + " / HTTP/1.1\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(client.receive_all(),
                HasSubstr("Invalid request method and/or path: " + std::string(method)));
  }
}

TEST_F(ApiServer, OutlivesThoseWhoStopInTheMiddle) {
  const std::string whole = put("/machine-config", R"({"vcpu_count": 2, "mem_size_mib": 64})");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const RawClient client(path_);
    client.send(whole.substr(0, length));
  }
  RawClient half(path_);
  half.send(whole.substr(0, 20));
  half.finish();
  half.receive_all();
}

TEST_F(ApiServer, OutlivesRandomBytes) {
  std::mt19937_64 random(23);
  const std::string good = put("/drives/a", R"({"drive_id": "a", "path_on_host": "/x"})");
  for (int i = 0; i < 200; ++i) {
    std::string bytes = good;
    for (int n = 0; n < 4; ++n) bytes[random() % bytes.size()] = static_cast<char>(random());
    RawClient client(path_);
    client.send(bytes);
    client.finish();
    client.receive_all();
  }
}

TEST_F(ApiServer, ServesSeveralOneAfterTheOther) {
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([this] {
      for (int n = 0; n < 50; ++n) {
        EXPECT_TRUE(ask(path_, {Method::Put, "/machine-config", R"({"vcpu_count": 2, "mem_size_mib": 64})"}));
        EXPECT_TRUE(ask(path_, {Method::Get, "/vm/config", {}}));
      }
    });
  }
  for (auto& client : clients) client.join();
}

TEST_F(ApiServer, TellsEventsToAllWhoRead) {
  std::vector<std::string> lines;
  std::thread reader([&] {
    EXPECT_TRUE(follow(path_, "/events", [&](const std::string& line) {
      lines.push_back(line);
      return lines.size() < 2;
    }));
  });
  server_->attach(launcher_.guest);
  std::atomic<bool> read{false};
  std::thread teller([&] {
    while (!read) {
      launcher_.guest.events().tell("forked", "\"copies\": 2");
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  });
  reader.join();
  read = true;
  teller.join();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_THAT(lines[0], HasSubstr("\"machine\": \"fake\", \"event\": \"forked\", \"copies\": 2}"));
  EXPECT_THAT(lines[0], StartsWith("{\"time\": \"2"));
  server_->detach();
}

TEST_F(ApiServer, ARefusalComesToTheClientAsAnError) {
  const auto refused = ask(path_, {Method::Put, "/vm/fork", "{}"});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("not supported before starting the microVM"));
  const auto nobody = ask(path_ + "-none", {Method::Get, "/", {}});
  ASSERT_FALSE(nobody);
  EXPECT_THAT(nobody.error().text(), HasSubstr(path_ + "-none"));
}

}  // namespace api_server_test
}  // namespace vmm::api

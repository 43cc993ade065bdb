// Sockets: who gets in, who doesn't, and what is left behind.
#include "vmm/gdb/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/vmm/gdb/served_target.h"
#include "vmm/gdb/hex.h"
#include "vmm/gdb/packet_writer.h"

namespace gdb_server_test {

using test::eventually;
using test::FakeDebugTarget;
using test::RspClient;
using test::ServedTarget;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using vmm::gdb::framed;

vmm::gdb::ListenAddress any_tcp_port() {
  return {};
}

TEST(GdbServer, ServesTcpOnLoopback) {
  ServedTarget served(any_tcp_port());
  EXPECT_EQ(served.address().host, "127.0.0.1");
  EXPECT_NE(served.address().port, 0);
  RspClient client(served.address());
  EXPECT_THAT(client.ask("qSupported"), testing::Optional(HasSubstr("PacketSize=")));
}

TEST(GdbServer, ServesAUnixSocketOfItsOwnersOnly) {
  std::string path;
  {
    ServedTarget served;
    path = served.address().path;
    struct stat info {};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777U, 0600U);
    RspClient client(served.address());
    EXPECT_EQ(client.ask("qC"), "QC1");
  }
  struct stat info {};
  EXPECT_NE(::stat(path.c_str(), &info), 0);  // gone with the server
}

TEST(GdbServer, TakesTheSocketFileThatADeadServerLeft) {
  const auto address = ServedTarget::unix_address();
  {
    const vmm::Fd dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    address.path.copy(name.sun_path, sizeof name.sun_path - 1);
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
  }
  ServedTarget served(address);
  RspClient client(served.address());
  EXPECT_EQ(client.ask("qC"), "QC1");
}

TEST(GdbServer, RefusesAPlaceThatIsTaken) {
  for (const auto& address : {any_tcp_port(), ServedTarget::unix_address()}) {
    ServedTarget first(address);
    FakeDebugTarget target;
    vmm::gdb::Options options;
    options.listen = first.address();
    const auto second = vmm::gdb::Server::create(options, target);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind(), uvm::ErrorKind::Busy);
    EXPECT_THAT(second.error().text(), HasSubstr(to_string(first.address())));
    RspClient client(first.address());  // and has not harmed the first
    EXPECT_EQ(client.ask("qC"), "QC1");
  }
}

TEST(GdbServer, RefusesAFileThatIsNoSocket) {
  const auto address = ServedTarget::unix_address();
  std::ofstream(address.path) << "precious";
  FakeDebugTarget target;
  vmm::gdb::Options options;
  options.listen = address;
  const auto server = vmm::gdb::Server::create(options, target);
  ASSERT_FALSE(server);
  EXPECT_THAT(server.error().text(), HasSubstr("no socket"));
  std::string kept;
  std::ifstream(address.path) >> kept;
  EXPECT_EQ(kept, "precious");
  std::remove(address.path.c_str());
}

TEST(GdbServer, StopsTheGuestForADebuggerOnly) {
  ServedTarget served;
  {
    RspClient scanner(served.address());
    ASSERT_TRUE(scanner.is_connected());
  }
  {
    RspClient browser(served.address());
    browser.send("GET / HTTP/1.1\r\n\r\n$k#6b");
    EXPECT_TRUE(browser.sees_the_end());
  }
  EXPECT_THAT(served.target.calls(), IsEmpty());
  const auto client = served.admitted();
  EXPECT_THAT(served.target.calls(), ElementsAre("attach"));
}

TEST(GdbServer, RefusesASecondDebugger) {
  ServedTarget served;
  RspClient first(served.address());
  EXPECT_EQ(first.ask("Z0,1000,1"), "OK");
  for (int i = 0; i < 20; ++i) {
    RspClient second(served.address());
    EXPECT_TRUE(second.sees_the_end());
  }
  EXPECT_EQ(first.ask("qC"), "QC1");
  EXPECT_THAT(served.target.calls(), ElementsAre("attach"));
}

TEST(GdbServer, BringsStopsFromOtherThreads) {
  ServedTarget served;
  RspClient client(served.address());
  static_cast<void>(client.ask("?"));
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(client.send(framed("c")));
    ASSERT_TRUE(eventually([&] { return served.target.state() == FakeDebugTarget::State::Resumed; }));
    served.target.stop({vmm::gdb::StopReason::Step, {1, 2}, 5, 0, 0, {}, {}});
    EXPECT_THAT(client.receive(), testing::Optional(HasSubstr("thread:2;")));
  }
}

TEST(GdbServer, InterruptsFromTheWire) {
  ServedTarget served;
  RspClient client(served.address());
  static_cast<void>(client.ask("?"));
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(client.send(framed("c") + "\x03"));
    EXPECT_THAT(client.receive(), testing::Optional(StartsWith("T02")));
  }
}

TEST(GdbServer, ADebuggerMayLeaveAtAnyByteAndComeAgain) {
  ServedTarget served;
  const std::string bytes =
      framed("qSupported:swbreak+") + framed("Z0,10,1") + framed("X1000,4:abcd") + framed("vCont;c:p1.-1");
  for (std::size_t cut = 1; cut <= bytes.size(); ++cut) {
    RspClient client(served.address());
    // The last one may not have been let go yet.
    client.send(bytes.substr(0, cut));
    client.close();
  }
  EXPECT_TRUE(eventually([&] { return served.is_left_alone(); }));
  const auto client = served.admitted();
  EXPECT_EQ(client->ask("D"), "OK");
  EXPECT_TRUE(served.is_left_alone());
}

TEST(GdbServer, TheNextDebuggerNeedNotWait) {
  ServedTarget served;
  for (int i = 0; i < 200; ++i) {
    RspClient client(served.address());
    ASSERT_EQ(client.ask("Z0,1000,1"), "OK") << i;
    ASSERT_TRUE(client.send(framed("c")));
  }
  EXPECT_TRUE(eventually([&] { return served.is_left_alone(); }));
}

TEST(GdbServer, OutlivesAStormOfConnections) {
  ServedTarget served;
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::vector<std::thread> storm;
  for (unsigned n = 0; n < 4; ++n) {
    storm.emplace_back([&served, seed, n] {
      std::mt19937 random(seed + n);
      const std::vector<std::string> words = {
          framed("?"), framed("c"), "\x03",     framed("Z0,10,1"), "$half", "+-+-", framed("QStartNoAckMode"),
          framed("k"), framed("D"), framed("g")};
      for (int i = 0; i < 100; ++i) {
        RspClient client(served.address());
        for (auto words_left = random() % 8; words_left > 0; --words_left)
          client.send(words[random() % words.size()]);
      }
    });
  }
  for (std::thread& each : storm) each.join();
  const auto client = served.admitted();
  EXPECT_EQ(client->ask("qC"), "QCp1.1");
  client->close();
  EXPECT_TRUE(eventually([&] { return served.is_left_alone(); }));
}

TEST(GdbServer, IsNotFilledByAClientThatDoesNotRead) {
  ServedTarget served;
  served.target.map(0x100000, std::size_t{1} << 20U);
  RspClient client(served.address());
  ASSERT_TRUE(client.ask("?").has_value());
  // 300 answers of 128 KiB each would be 38 MiB. What isn't read holds back what is asked for.
  std::thread sender([&client] {
    for (int i = 0; i < 300; ++i)
      if (!client.send(framed("x100000,1ffff"))) return;
  });
  for (int i = 0; i < 300; ++i) {
    const auto reply = client.receive();
    ASSERT_TRUE(reply.has_value()) << i;
    ASSERT_EQ(reply->size(), vmm::gdb::kPacketSize - 4);
  }
  sender.join();
}

TEST(GdbServer, LetsGoOfAClientThatNeverReads) {
  ServedTarget served;
  served.target.map(0x100000, std::size_t{1} << 20U);
  RspClient client(served.address());
  std::string many;
  for (int i = 0; i < 100; ++i) many += framed("x100000,1ffff");
  ASSERT_TRUE(client.send(many));
  client.close();
  const auto next = served.admitted();
  EXPECT_EQ(next->ask("qC"), "QCp1.1");
}

TEST(GdbServer, StreamsWhatAMonitorCommandPrints) {
  ServedTarget served;
  RspClient client(served.address());
  static_cast<void>(client.ask("QStartNoAckMode"));
  ASSERT_TRUE(client.send(framed("qRcmd," + vmm::gdb::hex_text("flood 20000"))));
  std::size_t lines = 0;
  for (auto packet = client.receive(); packet && *packet != "OK"; packet = client.receive()) {
    EXPECT_THAT(*packet, StartsWith("O78"));
    ++lines;
  }
  EXPECT_EQ(lines, 20000U);
}

TEST(GdbServer, TellsAWaitingDebuggerThatTheMachineEnded) {
  ServedTarget served;
  RspClient client(served.address());
  static_cast<void>(client.ask("qSupported:multiprocess+"));
  ASSERT_TRUE(client.send(framed("c")));
  ASSERT_TRUE(eventually([&] { return served.target.state() == FakeDebugTarget::State::Resumed; }));
  served.server->finish(7);
  EXPECT_EQ(client.receive(), "W07;process:1");
  EXPECT_TRUE(client.sees_the_end());
  EXPECT_EQ(served.target.calls().back(), "detach stopped");
  EXPECT_FALSE(RspClient(served.address()).ask("?").has_value());
}

TEST(GdbServer, EndsWhileWorkIsUnderWay) {
  ServedTarget served;
  served.target.map(0x100000, std::size_t{1} << 20U);
  RspClient client(served.address());
  std::string many;
  for (int i = 0; i < 50; ++i) many += framed("x100000,1ffff");
  ASSERT_TRUE(client.send(many));  // and nothing is read
  served.server->finish(0);
  EXPECT_TRUE(client.sees_the_end());
  EXPECT_TRUE(served.is_left_alone());
}

}  // namespace gdb_server_test

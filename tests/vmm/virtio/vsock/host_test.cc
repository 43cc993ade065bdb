// The host's side of sockets: the test is the guest's driver, packet by packet, and the host's programs.
#include "vmm/virtio/vsock/host.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <functional>
#include <string>

#include "tests/support/eventually.h"
#include "tests/support/temp_folder.h"

namespace vmm::virtio::vsock {
namespace host_test {

using ::testing::StartsWith;

constexpr std::uint64_t kCid = 42;
constexpr std::uint32_t kGuestBuffer = 256 * 1024;

struct Packet {
  Header header;
  std::string data;
  [[nodiscard]] Operation operation() const { return static_cast<Operation>(header.operation); }
};

class VsockHost : public testing::Test {
 protected:
  VsockHost() {
    auto listener = vsock::listen_at(path_);
    EXPECT_TRUE(listener) << listener.error().text();
    host_.emplace(Host::Setup{io_, kCid, *std::move(listener), [this] { ++wakes_; }});
    host_->open();
  }

  // The guest's side.
  static Header header(Operation operation, Ports ports, std::uint32_t bytes = 0) {
    Header made;
    made.source_cid = kCid;
    made.destination_cid = kHostCid;
    made.source_port = ports.guest;
    made.destination_port = ports.host;
    made.operation = static_cast<std::uint16_t>(operation);
    made.bytes = bytes;
    made.buffer = kGuestBuffer;
    return made;
  }
  bool say(Header header, std::string data = {}) {
    header.forwarded += forwarded_;
    const iovec part{data.data(), data.size()};
    return host_->take(header, std::span(&part, 1));
  }
  bool say(Operation operation, Ports ports, const std::string& data = {}) {
    return say(header(operation, ports, static_cast<std::uint32_t>(data.size())), data);
  }
  /// The next packet, if there is one now.
  std::optional<Packet> next(std::size_t room = 70'000) {
    run();
    std::string data(room, '\0');
    const std::array<iovec, 2> parts{iovec{data.data(), room / 2},
                                     iovec{data.data() + room / 2, room - room / 2}};
    const auto header = host_->give(parts);
    if (!header) return std::nullopt;
    EXPECT_EQ(header->source_cid, kHostCid);
    EXPECT_EQ(header->destination_cid, kCid);
    EXPECT_LE(header->bytes, room);
    data.resize(header->bytes);
    return Packet{*header, data};
  }
  /// The same, waiting for it.
  Packet wait_next(std::size_t room = 70'000) {
    std::optional<Packet> packet;
    EXPECT_TRUE(test::eventually([&] { return (packet = next(room)).has_value(); }));
    return packet.value_or(Packet{});
  }
  void run() {
    io_.restart();
    io_.poll();
  }
  bool comes(const std::function<bool()>& is_so) {
    return test::eventually([&] {
      run();
      return is_so();
    });
  }

  // The programs' side.
  Fd dial() {
    auto socket = connect_to(path_);
    EXPECT_TRUE(socket) << socket.error().text();
    return *std::move(socket);
  }
  static void write(const Fd& socket, const std::string& text) {
    EXPECT_EQ(::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  /// What there is to be read; "EOF" at the end.
  static std::string read(const Fd& socket, std::size_t most = 1 << 20) {
    std::string text(most, '\0');
    const ssize_t got = ::recv(socket.get(), text.data(), text.size(), 0);
    if (got == 0) return "EOF";
    text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return text;
  }
  std::string wait_read(const Fd& socket, std::size_t most = 1 << 20) {
    std::string text;
    EXPECT_TRUE(comes([&] { return !(text = read(socket, most)).empty(); }));
    return text;
  }
  /// A connection that a program here has made to port 52.
  Ports connected(const Fd& program) {
    write(program, "CONNECT 52\n");
    const Packet request = wait_next();
    EXPECT_EQ(request.operation(), Operation::Request);
    const Ports ports{request.header.source_port, request.header.destination_port};
    say(Operation::Response, ports);
    EXPECT_EQ(wait_read(program), "OK " + std::to_string(ports.host) + "\n");
    return ports;
  }
  /// Who listens for the guest at that port.
  Fd listen_at(std::uint32_t port) {
    auto listener = vsock::listen_at(path_ + "_" + std::to_string(port));
    EXPECT_TRUE(listener) << listener.error().text();
    listeners_.push_back(*std::move(listener));
    return Fd(::dup(listeners_.back().fd()));
  }
  /// A connection that the guest has made, and the program's end of it.
  Fd called(Ports ports) {
    const Fd listening = listen_at(ports.host);
    say(Operation::Request, ports);
    EXPECT_EQ(wait_next().operation(), Operation::Response);
    return Fd(::accept4(listening.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  }

  test::TempFolder folder_{"vsock"};
  const std::string path_ = folder_.file("v");
  boost::asio::io_context io_;
  int wakes_ = 0;
  std::uint32_t forwarded_ = 0;  // that the guest tells of
  std::vector<Listener> listeners_;
  std::optional<Host> host_;
};

// ---- who calls whom

TEST_F(VsockHost, AProgramCallsTheGuest) {
  const Fd program = dial();
  write(program, "CONNECT 52\n");
  const Packet request = wait_next();
  EXPECT_EQ(request.operation(), Operation::Request);
  EXPECT_EQ(request.header.destination_port, 52U);
  EXPECT_GE(request.header.source_port, 1U << 30);
  EXPECT_EQ(request.header.type, kStream);
  EXPECT_EQ(request.header.buffer, Credit::kBufferBytes);
  EXPECT_EQ(read(program), "") << "the guest has not answered yet";
  const Ports ports{request.header.source_port, 52};
  EXPECT_TRUE(say(Operation::Response, ports));
  EXPECT_EQ(wait_read(program), "OK " + std::to_string(ports.host) + "\n");
  write(program, "hello");
  const Packet data = wait_next();
  EXPECT_EQ(data.operation(), Operation::Data);
  EXPECT_EQ(data.data, "hello");
  EXPECT_TRUE(say(Operation::Data, ports, "world"));
  EXPECT_EQ(wait_read(program), "world");
}

TEST_F(VsockHost, TheLineMayComeInPiecesAndWithWhatFollows) {
  const Fd program = dial();
  for (const char letter : std::string("CONNECT 52")) {
    write(program, std::string(1, letter));
    EXPECT_FALSE(next());
  }
  write(program, "\nearly");
  const Packet request = wait_next();
  EXPECT_EQ(request.operation(), Operation::Request);
  EXPECT_FALSE(next()) << "nothing before the guest has accepted";
  say(Operation::Response, {request.header.source_port, 52});
  EXPECT_EQ(wait_next().data, "early");
}

TEST_F(VsockHost, WhoSaysSomethingElseIsLeft) {
  for (const char* line : {"CONNECT\n", "CONNECT x\n", "CONNECT -1\n", "CONNECT 4294967296\n", "connect 52\n",
                           "GET / HTTP/1.1\n", "\n", "CONNECT 52 53\n",
                           "CONNECT 000000000000000000000000000000000000000000052\n"}) {
    const Fd program = dial();
    write(program, line);
    EXPECT_EQ(wait_read(program), "EOF") << line;
    EXPECT_FALSE(next()) << line;
  }
  const Fd silent = dial();
  run();
  EXPECT_EQ(host_->connections(), 0U);
}

TEST_F(VsockHost, AGuestThatRefusesEndsTheProgramsConnection) {
  const Fd program = dial();
  write(program, "CONNECT 52\n");
  const Packet request = wait_next();
  EXPECT_TRUE(say(Operation::Reset, {request.header.source_port, 52}));
  EXPECT_EQ(wait_read(program), "EOF");
  EXPECT_FALSE(next());
  EXPECT_EQ(host_->connections(), 0U);
}

TEST_F(VsockHost, TheGuestCallsAProgram) {
  const Ports ports{1234, 99};
  const Fd program = called(ports);
  ASSERT_TRUE(program);
  say(Operation::Data, ports, "from the guest");
  EXPECT_EQ(wait_read(program), "from the guest");
  write(program, "from the host");
  const Packet data = wait_next();
  EXPECT_EQ(data.data, "from the host");
  EXPECT_EQ(data.header.source_port, 1234U);
  EXPECT_EQ(data.header.destination_port, 99U);
  EXPECT_EQ(data.header.forwarded, 14U);
}

TEST_F(VsockHost, NobodyThereIsAReset) {
  EXPECT_TRUE(say(Operation::Request, {1234, 99}));
  const Packet reset = wait_next();
  EXPECT_EQ(reset.operation(), Operation::Reset);
  EXPECT_EQ(reset.header.source_port, 1234U);
  EXPECT_EQ(reset.header.destination_port, 99U);
}

// ---- credit

TEST_F(VsockHost, TheGuestGetsNoMoreThanItHasRoomFor) {
  const Fd program = dial();
  const Ports ports = connected(program);
  Header update = header(Operation::CreditUpdate, ports);
  update.buffer = 10;
  say(update);
  write(program, "0123456789abcdef");
  EXPECT_EQ(wait_next().data, "0123456789");
  EXPECT_EQ(wait_next().operation(), Operation::CreditRequest);
  EXPECT_FALSE(next()) << "it is asked once";
  say(update);
  EXPECT_FALSE(next()) << "and still has none";
  update.forwarded = 4;
  say(update);
  EXPECT_EQ(wait_next().data, "abcd");
  EXPECT_EQ(wait_next().operation(), Operation::CreditRequest);
  update.forwarded = 10;
  say(update);
  EXPECT_EQ(wait_next().data, "ef");
}

TEST_F(VsockHost, CreditThatCannotBeIsNone) {
  const Fd program = dial();
  const Ports ports = connected(program);
  Header update = header(Operation::CreditUpdate, ports);
  update.forwarded = 1000;  // of nothing that was sent
  say(update);
  write(program, "x");
  EXPECT_EQ(wait_next().operation(), Operation::CreditRequest);
  EXPECT_FALSE(next());
}

TEST_F(VsockHost, AProgramThatDoesNotReadHoldsTheGuestBack) {
  const Ports ports{1234, 99};
  const Fd program = called(ports);
  std::string sent;
  std::string piece;
  std::uint32_t told = 0;
  // As a guest does: never more than it is told that there is room for.
  for (int i = 0; i < 1000; ++i) {
    while (const auto packet = next()) told = packet->header.forwarded;
    const std::uint32_t room = Credit::kBufferBytes - (static_cast<std::uint32_t>(sent.size()) - told);
    if (room == 0) break;
    piece.assign(std::min<std::uint32_t>(room, 30'000), static_cast<char>('a' + i % 26));
    ASSERT_TRUE(say(Operation::Data, ports, piece));
    sent += piece;
  }
  EXPECT_EQ(sent.size() - told, Credit::kBufferBytes);
  EXPECT_EQ(host_->connections(), 1U);
  std::string got;
  while (got.size() < sent.size()) got += wait_read(program);
  EXPECT_TRUE(got == sent);
  const Packet update = wait_next();
  EXPECT_EQ(update.operation(), Operation::CreditUpdate);
  EXPECT_EQ(update.header.forwarded, sent.size());
}

TEST_F(VsockHost, AGuestThatSendsMoreThanItMayLosesTheConnection) {
  const Ports ports{1234, 99};
  const Fd program = called(ports);
  const std::string much(64 * 1024, 'x');
  Operation last = Operation::Invalid;
  for (int i = 0; i < 100 && last != Operation::Reset; ++i) {
    say(Operation::Data, ports, much);  // without a look at what it is told
    while (const auto packet = host_->give({})) last = static_cast<Operation>(packet->operation);
  }
  EXPECT_EQ(last, Operation::Reset);
  EXPECT_EQ(host_->connections(), 0U);
}

TEST_F(VsockHost, ABufferWithoutRoomForDataGetsNone) {
  const Ports ports{1234, 99};
  const Fd program = called(ports);
  write(program, "x");
  EXPECT_FALSE(next(0));
  EXPECT_EQ(wait_next().data, "x");
}

TEST_F(VsockHost, AskedForCreditItTells) {
  const Ports ports{1234, 99};
  const Fd program = called(ports);
  say(Operation::CreditRequest, ports);
  const Packet update = wait_next();
  EXPECT_EQ(update.operation(), Operation::CreditUpdate);
  EXPECT_EQ(update.header.buffer, Credit::kBufferBytes);
}

// ---- ends

TEST_F(VsockHost, AProgramThatOnlyEndsItsSendingGoesOnReceiving) {
  const Fd program = dial();
  const Ports ports = connected(program);
  write(program, "question");
  ::shutdown(program.get(), SHUT_WR);
  EXPECT_EQ(wait_next().data, "question");
  const Packet shutdown = wait_next();
  EXPECT_EQ(shutdown.operation(), Operation::Shutdown);
  EXPECT_EQ(shutdown.header.flags, kNoSending);
  say(Operation::Data, ports, "answer");
  EXPECT_EQ(wait_read(program), "answer");
  Header end = header(Operation::Shutdown, ports);
  end.flags = kNothing;
  say(end);
  EXPECT_EQ(wait_read(program), "EOF");
  EXPECT_EQ(wait_next().operation(), Operation::Reset);
  EXPECT_EQ(host_->connections(), 0U);
}

TEST_F(VsockHost, WhatAProgramSentBeforeItClosedReachesTheGuest) {
  Fd program = dial();
  const Ports ports = connected(program);
  write(program, "last words");
  program.reset();
  EXPECT_EQ(wait_next(4).data, "last");
  EXPECT_EQ(wait_next().data, " words");
  const Packet shutdown = wait_next();
  EXPECT_EQ(shutdown.operation(), Operation::Shutdown);
  EXPECT_EQ(shutdown.header.flags, kNothing);
  EXPECT_FALSE(next());
  EXPECT_EQ(host_->connections(), 1U) << "until the guest has read all and says so";
  say(Operation::Reset, ports);
  EXPECT_EQ(host_->connections(), 0U);
  EXPECT_FALSE(next());
}

TEST_F(VsockHost, AGuestThatOnlyEndsItsSendingGoesOnReceiving) {
  const Ports ports{1234, 99};
  const Fd program = called(ports);
  say(Operation::Data, ports, "question");
  Header end = header(Operation::Shutdown, ports);
  end.flags = kNoSending;
  say(end);
  EXPECT_EQ(wait_read(program), "question");
  EXPECT_EQ(wait_read(program), "EOF");
  write(program, "answer");
  EXPECT_EQ(wait_next().data, "answer");
  say(Operation::Data, ports, "more");
  EXPECT_EQ(wait_next().operation(), Operation::Reset) << "it had said that nothing would come";
}

TEST_F(VsockHost, AProgramIsToldThatTheGuestReadsNoMore) {
  const Ports ports{1234, 99};
  const Fd program = called(ports);
  Header end = header(Operation::Shutdown, ports);
  end.flags = kNoReceiving;
  say(end);
  EXPECT_EQ(::send(program.get(), "x", 1, MSG_NOSIGNAL), -1);
  EXPECT_EQ(errno, EPIPE);
  EXPECT_FALSE(next());
}

TEST_F(VsockHost, WhatTheGuestSentBeforeItWentReachesASlowProgram) {
  const Ports ports{1234, 99};
  const Fd program = called(ports);
  const int small = 4096;
  ::setsockopt(program.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  std::string sent;
  std::uint32_t told = 0;
  for (int i = 0; i < 20; ++i) {
    while (const auto packet = next()) told = packet->header.forwarded;
    if (Credit::kBufferBytes - (static_cast<std::uint32_t>(sent.size()) - told) < 50'000) break;
    const std::string piece(50'000, static_cast<char>('a' + i));
    say(Operation::Data, ports, piece);
    sent += piece;
  }
  Header end = header(Operation::Shutdown, ports);
  end.flags = kNothing;
  say(end);
  say(Operation::Reset, ports);  // it has waited long enough
  EXPECT_EQ(host_->connections(), 0U);
  std::string got;
  while (got.size() < sent.size()) {
    const std::string more = wait_read(program);
    ASSERT_NE(more, "EOF") << got.size() << " of " << sent.size();
    got += more;
  }
  EXPECT_TRUE(got == sent);
  EXPECT_EQ(wait_read(program), "EOF");
}

TEST_F(VsockHost, AResetIsTheEndForTheProgram) {
  const Ports ports{1234, 99};
  const Fd program = called(ports);
  say(Operation::Reset, ports);
  EXPECT_EQ(wait_read(program), "EOF");
  EXPECT_FALSE(next()) << "a reset has no answer";
}

TEST_F(VsockHost, AProgramThatHasGoneDoesNotStopTheGuest) {
  const Ports ports{1234, 99};
  Fd program = called(ports);
  program.reset();
  say(Operation::Data, ports, "into the void");
  std::uint32_t flags = 0;
  for (int i = 0; i < 3; ++i) {
    if (const auto packet = next())
      flags |= packet->operation() == Operation::Shutdown ? packet->header.flags : 0;
  }
  EXPECT_EQ(flags, kNothing);
  Header end = header(Operation::Shutdown, ports);
  end.flags = kNothing;
  say(end);
  EXPECT_EQ(wait_next().operation(), Operation::Reset);
}

// ---- wrong packets

TEST_F(VsockHost, PacketsOfNobodyAreDropped) {
  Header wrong = header(Operation::Data, {1234, 99});
  wrong.source_cid = 43;
  EXPECT_FALSE(say(wrong));
  wrong = header(Operation::Data, {1234, 99});
  wrong.destination_cid = 3;
  EXPECT_FALSE(say(wrong));
  wrong = header(Operation::Data, {1234, 99}, 5);
  EXPECT_FALSE(say(wrong, "four")) << "longer than what carries it";
  wrong.bytes = 0xffffffff;
  EXPECT_FALSE(say(wrong, "four"));
  EXPECT_FALSE(next());
}

TEST_F(VsockHost, PacketsForNoConnectionAreAnsweredByAReset) {
  for (const int operation : {0, 2, 4, 5, 6, 7, 8, 0xffff}) {
    Header wrong = header(Operation::Data, {1234, 99});
    wrong.operation = static_cast<std::uint16_t>(operation);
    EXPECT_TRUE(say(wrong)) << operation;
    EXPECT_EQ(wait_next().operation(), Operation::Reset) << operation;
  }
  Header packets = header(Operation::Request, {1234, 99});
  packets.type = 2;
  EXPECT_TRUE(say(packets));
  const Packet reset = wait_next();
  EXPECT_EQ(reset.operation(), Operation::Reset);
  EXPECT_EQ(reset.header.type, 2) << "of the kind that was asked for";
  say(Operation::Reset, {1234, 99});
  EXPECT_FALSE(next()) << "resets are not answered";
}

TEST_F(VsockHost, WhatBreaksTheRulesEndsThatConnectionOnly) {
  const Ports good{1234, 1};
  const Fd kept = called(good);
  std::uint32_t guest = 100;
  for (const int operation : {0, 1, 2, 8, 0xffff}) {
    const Ports ports{2000U + static_cast<std::uint32_t>(operation), guest++};
    const Fd program = called(ports);
    Header wrong = header(Operation::Data, ports);
    wrong.operation = static_cast<std::uint16_t>(operation);
    EXPECT_TRUE(say(wrong));
    EXPECT_EQ(wait_next().operation(), Operation::Reset) << operation;
    EXPECT_EQ(wait_read(program), "EOF") << operation;
    EXPECT_EQ(host_->connections(), 1U) << operation;
  }
  say(Operation::Data, good, "still here");
  EXPECT_EQ(wait_read(kept), "still here");
}

TEST_F(VsockHost, DataBeforeTheAnswerIsAgainstTheRules) {
  const Fd program = dial();
  write(program, "CONNECT 52\n");
  const Packet request = wait_next();
  say(Operation::Data, {request.header.source_port, 52}, "early");
  EXPECT_EQ(wait_next().operation(), Operation::Reset);
  EXPECT_EQ(wait_read(program), "EOF");
}

TEST_F(VsockHost, AnswersThatNobodyTakesAreBounded) {
  int taken = 0;
  while (!host_->is_full()) {
    ASSERT_TRUE(say(Operation::Data, {1234, 99}));
    ASSERT_LT(++taken, 10'000);
  }
  while (taken-- > 0) EXPECT_EQ(wait_next().operation(), Operation::Reset);
  EXPECT_FALSE(next());
  EXPECT_FALSE(host_->is_full());
}

TEST_F(VsockHost, OnlySoManyConnectionsAtOnce) {
  const Fd listening = listen_at(1234);
  std::vector<Fd> programs;
  const auto call = [&](std::uint32_t guest_port) {
    say(Operation::Request, {1234, guest_port});
    programs.emplace_back(::accept4(listening.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    return wait_next().operation();
  };
  for (std::uint32_t i = 0; i < Host::kMostConnections; ++i) ASSERT_EQ(call(i), Operation::Response) << i;
  EXPECT_EQ(call(100'000), Operation::Reset);
  EXPECT_EQ(host_->connections(), Host::kMostConnections);
  // One that waits for the guest's farewell makes room.
  programs[7].reset();
  EXPECT_EQ(wait_next().operation(), Operation::Shutdown);
  say(Operation::Request, {1234, 100'001});
  const Packet farewell = wait_next();
  EXPECT_EQ(farewell.operation(), Operation::Reset);
  EXPECT_EQ(farewell.header.destination_port, 7U);
  EXPECT_EQ(wait_next().operation(), Operation::Response);
}

TEST_F(VsockHost, ClosingEndsAllAndItOpensAgain) {
  const Fd one = dial();
  connected(one);
  const Fd other = called({1234, 99});
  host_->close();
  EXPECT_EQ(wait_read(one), "EOF");
  EXPECT_EQ(wait_read(other), "EOF");
  EXPECT_FALSE(next());
  const Fd early = dial();
  write(early, "CONNECT 52\n");
  EXPECT_FALSE(next()) << "nobody is let in";
  host_->open();
  EXPECT_EQ(wait_next().operation(), Operation::Request);
}

TEST(VsockWithoutASocket, ReachesNobody) {
  boost::asio::io_context io;
  Host host(Host::Setup{io, kCid, std::nullopt, [] {}});
  host.open();
  Header request;
  request.source_cid = kCid;
  request.destination_cid = kHostCid;
  request.operation = static_cast<std::uint16_t>(Operation::Request);
  EXPECT_TRUE(host.take(request, {}));
  const auto answer = host.give({});
  ASSERT_TRUE(answer);
  EXPECT_EQ(static_cast<Operation>(answer->operation), Operation::Reset);
}

TEST(VsockListener, TakesThePlaceOfADeadSocketOnly) {
  const test::TempFolder folder("vsock");
  const std::string path = folder.file("v");
  {
    const auto first = vsock::listen_at(path);
    ASSERT_TRUE(first);
    const auto second = vsock::listen_at(path);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind(), uvm::ErrorKind::Busy);
  }
  EXPECT_NE(::access(path.c_str(), F_OK), 0) << "its file goes with it";
  ASSERT_EQ(::mknod(path.c_str(), S_IFREG | 0600, 0), 0);
  EXPECT_EQ(vsock::listen_at(path).error().kind(), uvm::ErrorKind::Invalid);
  EXPECT_EQ(vsock::listen_at(std::string(108, 'x')).error().kind(), uvm::ErrorKind::Invalid);
}

}  // namespace host_test
}  // namespace vmm::virtio::vsock

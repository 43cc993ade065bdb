// Frames over a stream, with the test at the other end; and with Debian's passt itself.
#include "vmm/virtio/net/passt.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <string>

#include "tests/support/eventually.h"
#include "tests/support/socket_path.h"

namespace vmm::virtio::net {
namespace passt_test {

using test::eventually;
using ::testing::HasSubstr;

std::string frame(std::size_t bytes, char letter = 'x') {
  return std::string(bytes, letter);
}

std::string with_length(const std::string& bytes) {
  const std::uint32_t length = ::htonl(static_cast<std::uint32_t>(bytes.size()));
  std::string text(sizeof length, '\0');
  std::memcpy(text.data(), &length, sizeof length);
  return text + bytes;
}

class PasstStream : public testing::Test {
 protected:
  PasstStream() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
    there_ = Fd(ends[0]);
    link_ = std::make_unique<Passt>(Fd(ends[1]), "passt");
  }
  void say(const std::string& text) {
    ASSERT_EQ(::send(there_.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  std::string heard(std::size_t most = 1 << 20) {
    std::string text(most, '\0');
    const ssize_t got = ::recv(there_.get(), text.data(), text.size(), 0);
    text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return text;
  }
  Outcome send(const std::string& bytes) {
    std::string copy = bytes;
    const std::array<iovec, 2> parts{iovec{copy.data(), 10}, iovec{copy.data() + 10, copy.size() - 10}};
    return link_->send({}, parts);
  }
  /// The next frame in a buffer of `room`, and what did not fit.
  Outcome receive(std::string& bytes, std::size_t room = 70'000) {
    bytes.assign(room, '\0');
    const std::array<iovec, 2> parts{iovec{bytes.data(), room / 2},
                                     iovec{bytes.data() + room / 2, room - room / 2}};
    incoming_ = {};
    const Outcome outcome = link_->receive(parts, incoming_);
    bytes.resize(incoming_.bytes - incoming_.rest.size());
    for (const std::byte byte : incoming_.rest) bytes.push_back(static_cast<char>(byte));
    return outcome;
  }

  Fd there_;
  std::unique_ptr<Passt> link_;
  Incoming incoming_;
};

TEST_F(PasstStream, EachFrameHasItsLengthInFront) {
  EXPECT_EQ(send(frame(60)), Outcome::Done);
  EXPECT_EQ(heard(), with_length(frame(60)));
}

TEST_F(PasstStream, FramesAreTakenApart) {
  std::string bytes;
  EXPECT_EQ(receive(bytes), Outcome::Later);
  say(with_length(frame(60, 'a')) + with_length(frame(9000, 'b')) + with_length(frame(14, 'c')));
  EXPECT_EQ(receive(bytes), Outcome::Done);
  EXPECT_EQ(bytes, frame(60, 'a'));
  EXPECT_EQ(receive(bytes, 100), Outcome::Done);
  EXPECT_EQ(bytes, frame(9000, 'b'));
  EXPECT_EQ(incoming_.rest.size(), 8900U);
  EXPECT_EQ(receive(bytes), Outcome::Done);
  EXPECT_EQ(bytes, frame(14, 'c'));
  EXPECT_EQ(receive(bytes), Outcome::Later);
}

TEST_F(PasstStream, FramesMayComeInPieces) {
  const std::string whole = with_length(frame(100, 'p'));
  std::string bytes;
  for (const char letter : whole.substr(0, whole.size() - 1)) {
    say(std::string(1, letter));
    ASSERT_EQ(receive(bytes), Outcome::Later);
  }
  say(whole.substr(whole.size() - 1));
  EXPECT_EQ(receive(bytes), Outcome::Done);
  EXPECT_EQ(bytes, frame(100, 'p'));
}

TEST_F(PasstStream, LongFramesOneAfterTheOtherAllFit) {
  std::string bytes;
  for (int i = 0; i < 20; ++i) {
    const char letter = static_cast<char>('a' + i);
    say(with_length(frame(kMostFrameBytes, letter)));
    ASSERT_EQ(receive(bytes), Outcome::Done);
    EXPECT_EQ(bytes, frame(kMostFrameBytes, letter));
  }
}

TEST_F(PasstStream, ALengthThatNoFrameHasIsTheEnd) {
  for (const std::uint32_t length : {0U, 13U, static_cast<std::uint32_t>(kMostFrameBytes) + 1, 0xffffffffU}) {
    PasstStream::SetUp();
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
    there_ = Fd(ends[0]);
    link_ = std::make_unique<Passt>(Fd(ends[1]), "passt");
    const std::uint32_t big_endian = ::htonl(length);
    std::string text(4, '\0');
    std::memcpy(text.data(), &big_endian, 4);
    say(text + frame(100));
    std::string bytes;
    EXPECT_EQ(receive(bytes), Outcome::Gone) << length;
    EXPECT_THAT(link_->reason(), HasSubstr(std::to_string(length) + " bytes"));
  }
}

TEST_F(PasstStream, TheEndOfTheOtherSideIsTheEnd) {
  say(with_length(frame(60)).substr(0, 30));
  there_ = Fd();
  std::string bytes;
  EXPECT_EQ(receive(bytes), Outcome::Gone);
  EXPECT_EQ(link_->reason(), "it has ended");
  EXPECT_EQ(send(frame(60)), Outcome::Gone);
}

TEST_F(PasstStream, AFrameThatGoesInPartIsNotTornApart) {
  std::size_t sent = 0;
  while (send(frame(60'000, static_cast<char>('a' + sent % 26))) == Outcome::Done) ++sent;
  ASSERT_GT(sent, 0U);
  EXPECT_EQ(send(frame(60)), Outcome::Later) << "and again";
  std::string all;
  const std::size_t whole = sent * (4 + 60'000);
  while (all.size() < whole) {
    const std::string more = heard();
    all += more;
    const Outcome outcome = link_->flush();
    ASSERT_FALSE(more.empty() && outcome == Outcome::Done) << all.size() << " of " << whole;
  }
  std::string expected;
  for (std::size_t i = 0; i < sent; ++i)
    expected += with_length(frame(60'000, static_cast<char>('a' + i % 26)));
  EXPECT_TRUE(all == expected);
  EXPECT_EQ(send(frame(60)), Outcome::Done);
}

TEST_F(PasstStream, MoreThanPasstTakesIsRefused) {
  EXPECT_EQ(send(frame(65536)), Outcome::Refused);
  EXPECT_EQ(send(frame(65535)), Outcome::Done);
}

TEST_F(PasstStream, ChecksumsAreVouchedForWhenTheDriverWantsThat) {
  std::string bytes;
  say(with_length(frame(60)));
  ASSERT_EQ(receive(bytes), Outcome::Done);
  EXPECT_EQ(incoming_.header, Header());
  ASSERT_TRUE(link_->agree(feature::kGuestCsum));
  say(with_length(frame(60)));
  ASSERT_EQ(receive(bytes), Outcome::Done);
  EXPECT_EQ(incoming_.header.flags, Header::kDataValid);
}

TEST(PasstSocket, WhatCannotBeReachedIsNamed) {
  const auto nobody = Passt::connect("/nonexistent/passt");
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().kind(), uvm::ErrorKind::NotFound);
  EXPECT_THAT(nobody.error().text(), HasSubstr("passt --socket /nonexistent/passt"));
  EXPECT_EQ(Passt::connect(std::string(200, 'a')).error().kind(), uvm::ErrorKind::Invalid);
}

// ---- the program itself

TEST(PasstProgram, IsNamedWhenItIsNotThere) {
  const auto missing = PasstProcess::start("/nonexistent/passt");
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().text(), HasSubstr("Debian's package passt"));
}

TEST(PasstProgram, ItsLastWordsAreKept) {
  // Says what it does not know, and ends.
  auto process = PasstProcess::start("/bin/ls");
  ASSERT_TRUE(process) << process.error().text();
  const Fd socket = process->take_socket();
  pollfd end{socket.get(), POLLIN, 0};
  ASSERT_GT(::poll(&end, 1, 60'000), 0);
  EXPECT_TRUE(eventually([&] { return !process->last_words().empty(); }));
  EXPECT_THAT(process->last_words(), HasSubstr("--help")) << "the last line of several";
}

/// Who has this address of passt's network?
std::string arp_request(std::uint32_t own, std::uint32_t asked) {
  std::string text("\xff\xff\xff\xff\xff\xff\x02\x00\x5e\x01\x02\x03\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01",
                   22);
  const auto add = [&](std::uint32_t address) {
    for (const unsigned shift : {24U, 16U, 8U, 0U}) text.push_back(static_cast<char>(address >> shift));
  };
  text += std::string("\x02\x00\x5e\x01\x02\x03", 6);
  add(own);
  text += std::string(6, '\0');
  add(asked);
  return text + std::string(18, '\0');
}

TEST(PasstProgram, AnswersAndEndsWithItsLink) {
  if (!std::filesystem::exists("/usr/bin/passt")) GTEST_SKIP() << "passt is not installed (package passt)";
  auto link = Passt::start();
  ASSERT_TRUE(link) << link.error().text();
  std::string request = arp_request(0x0a00'0002, 0x0a00'0001);
  const iovec part{request.data(), request.size()};
  ASSERT_EQ((*link)->send({}, std::span(&part, 1)), Outcome::Done);
  std::string answer(2000, '\0');
  const iovec room{answer.data(), answer.size()};
  Incoming incoming;
  Outcome outcome = Outcome::Later;
  // It may have other things to say first (neighbour discovery).
  EXPECT_TRUE(eventually([&] {
    outcome = (*link)->receive(std::span(&room, 1), incoming);
    return outcome == Outcome::Gone || (outcome == Outcome::Done && answer.substr(12, 2) == "\x08\x06");
  }));
  if (outcome == Outcome::Gone) GTEST_SKIP() << "passt cannot run here: " << (*link)->reason();
  EXPECT_EQ(answer.substr(20, 2), std::string("\0\x02", 2)) << "an answer";
  EXPECT_EQ(answer.substr(0, 6), request.substr(6, 6)) << "to who has asked";
  link->reset();
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "it has ended, and was waited for";
}

}  // namespace passt_test
}  // namespace vmm::virtio::net

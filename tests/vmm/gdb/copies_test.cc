// A session whose machine has been forked, with copies that speak and copies that never come to life.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <string>
#include <thread>
#include <utility>

#include "tests/vmm/gdb/conversation.h"
#include "vmm/gdb/copy_door.h"

namespace copies_test {

using test::Conversation;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using vmm::Fd;
using vmm::gdb::framed;

std::pair<Fd, Fd> socket_pair() {
  std::array<int, 2> ends{};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

/// A copy that says yes to everything until it is let go.
class YesCopy {
 public:
  YesCopy() {
    auto [ours, theirs] = socket_pair();
    door_ = std::move(ours);
    socket_ = std::move(theirs);
    thread_ = std::thread([this] { answer(socket_.get()); });
  }
  ~YesCopy() {
    ::shutdown(socket_.get(), SHUT_RDWR);  // the session may live longer
    thread_.join();
  }
  YesCopy(const YesCopy&) = delete;
  YesCopy& operator=(const YesCopy&) = delete;
  [[nodiscard]] Fd door() { return std::move(door_); }

 private:
  static void answer(int socket) {
    vmm::gdb::PacketReader reader;
    std::array<char, 4096> buffer{};
    for (ssize_t got = 0; (got = ::recv(socket, buffer.data(), buffer.size(), 0)) > 0;) {
      std::string_view bytes(buffer.data(), static_cast<std::size_t>(got));
      while (const auto event = reader.next(bytes)) {
        const std::string reply = framed(event->payload == "qC" ? "QCp77.1" : "OK");
        if (::send(socket, reply.data(), reply.size(), MSG_NOSIGNAL) < 0) return;
      }
    }
  }

  Fd door_;
  Fd socket_;
  std::thread thread_;
};

class Copies : public testing::Test {
 protected:
  void SetUp() override {
    with_.greet(";error-message+;fork-events+");
    static_cast<void>(with_.say("QStartNoAckMode"));
    ASSERT_TRUE(with_.session.follows_forks());
  }
  Conversation with_;
};

TEST_F(Copies, AreToldOfInPlaceOfTheNextResume) {
  YesCopy copy;
  with_.session.forked(copy.door());
  EXPECT_THAT(with_.ask("vCont;c:p1.-1"), HasSubstr("thread:p1.1;core:0;fork:p77.1;"));
  EXPECT_EQ(with_.ask("z0,1000,1"), "OK");
  EXPECT_EQ(with_.ask("D;77"), "OK");
  EXPECT_THAT(with_.ask("D;77"), StartsWith("E"));
  EXPECT_THAT(with_.target.calls(), ElementsAre("attach"));
}

TEST_F(Copies, AnInterruptThatMeetsOneIsNotLost) {
  YesCopy copy;
  ASSERT_TRUE(with_.say("vCont;c:p1.-1").empty());
  with_.session.forked(copy.door());
  EXPECT_THAT(with_.say_raw("\x03"), ElementsAre(HasSubstr("fork:p77.1;")));
  EXPECT_EQ(with_.ask("D;77"), "OK");
  EXPECT_THAT(with_.ask("vCont;c:p1.-1"), StartsWith("T02"));
}

TEST_F(Copies, OneThatNeverLivesIsNoStop) {
  auto [ours, theirs] = socket_pair();
  theirs.reset();
  ASSERT_TRUE(with_.say("vCont;c:p1.-1").empty());
  with_.session.forked(std::move(ours));
  with_.target.interrupt();
  with_.deliver();
  EXPECT_THAT(with_.take(), ElementsAre(StartsWith("O")));  // why, for the console
  EXPECT_THAT(with_.target.calls(), ElementsAre("attach", "resume", "interrupt", "resume"));
}

TEST_F(Copies, WhatOneIsAskedHasItsThreadsToo) {
  YesCopy copy;
  with_.session.forked(copy.door());
  ASSERT_THAT(with_.ask("vCont;c:p1.-1"), HasSubstr("fork:p77.1;"));
  EXPECT_EQ(with_.ask("Hgp77.1"), "OK");
  EXPECT_EQ(with_.ask("M1000,1:00"), "OK");  // nothing is mapped there in the machine itself
  EXPECT_EQ(with_.ask("Hgp1.1"), "OK");
  EXPECT_THAT(with_.ask("M1000,1:00"), StartsWith("E"));
  EXPECT_THAT(with_.say("vCont;c"), ElementsAre(StartsWith("O"), StartsWith("T02")));
}

}  // namespace copies_test

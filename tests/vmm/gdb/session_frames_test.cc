// Acknowledgements, damaged frames, pipelines, and connections that are none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/vmm/gdb/conversation.h"
#include "vmm/gdb/hex.h"

namespace session_frames_test {

using test::Conversation;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using vmm::gdb::framed;

TEST(SessionFrames, AreAcknowledgedUntilToldNotTo) {
  Conversation with;
  static_cast<void>(with.ask("qC"));
  EXPECT_EQ(with.signs, "+");
  EXPECT_EQ(with.ask("QStartNoAckMode"), "OK");
  EXPECT_EQ(with.signs, "++");
  static_cast<void>(with.ask("qC"));
  EXPECT_EQ(with.signs, "++");
}

TEST(SessionFrames, AreAskedForAgainWhenDamaged) {
  Conversation with;
  EXPECT_THAT(with.say_raw("$qC#00"), IsEmpty());
  EXPECT_EQ(with.signs, "-");
  EXPECT_EQ(with.ask("qC"), "QC1");
}

TEST(SessionFrames, DamagedWithoutAcknowledgementsAreAnErrorNotSilence) {
  Conversation with;
  static_cast<void>(with.ask("QStartNoAckMode"));
  EXPECT_THAT(with.say_raw("$qC#00"), ElementsAre("E16"));
}

TEST(SessionFrames, AreSentAgainWhenAskedFor) {
  Conversation with;
  EXPECT_EQ(with.ask("qC"), "QC1");
  EXPECT_THAT(with.say_raw("-"), ElementsAre("QC1"));
  EXPECT_THAT(with.say_raw("-"), ElementsAre("QC1"));
  EXPECT_THAT(with.say_raw("+"), IsEmpty());
  EXPECT_THAT(with.say_raw("-"), IsEmpty());  // it has been acknowledged
}

TEST(SessionFrames, ThatAreTooLongAreAnError) {
  Conversation with;
  with.greet();
  EXPECT_EQ(with.ask(std::string(vmm::gdb::kPacketSize, 'm')), "E.malformed packet: longer than PacketSize");
  EXPECT_EQ(with.ask("qC"), "QCp1.1");
}

TEST(SessionFrames, MayArriveTogetherOrInPieces) {
  const std::string bytes =
      "+" + framed("qSupported:multiprocess+") + framed("?") + framed("g") + framed("qC");
  Conversation together;
  const auto expected = together.say_raw(bytes);
  EXPECT_THAT(expected, SizeIs(4));
  Conversation pieces;
  std::vector<std::string> replies;
  for (const char each : bytes) {
    for (auto& reply : pieces.say_raw({&each, 1})) replies.push_back(std::move(reply));
  }
  EXPECT_EQ(replies, expected);
}

TEST(SessionFrames, ThatAreNoneEndTheConnectionAndLeaveTheGuestAlone) {
  for (const char* bytes :
       {"POST / HTTP/1.1\r\nHost: localhost:1234\r\n\r\n$k#6b", "\x16\x03\x01", "SSH-2.0-x\r\n"}) {
    Conversation with;
    EXPECT_THAT(with.say_raw(bytes), IsEmpty());
    EXPECT_TRUE(with.session.is_over());
    EXPECT_THAT(with.target.calls(), IsEmpty());
  }
}

TEST(SessionFrames, NoiseBetweenPacketsIsOverlooked) {
  Conversation with;
  EXPECT_EQ(with.ask("qC"), "QC1");
  EXPECT_THAT(with.say_raw("\r\n" + framed("qC") + "\n"), ElementsAre("QC1"));
}

TEST(SessionFrames, WaitWhileThePeerDoesNotRead) {
  Conversation with;
  with.wire.room = 100;
  std::string many;
  for (int i = 0; i < 100; ++i) many += framed("qSupported");
  with.session.receive(many);
  EXPECT_LT(with.wire.sent.size(), 1000U);
  EXPECT_TRUE(with.session.has_input());
  std::size_t replies = 0;
  while (with.session.has_input()) {
    replies += with.take().size();
    with.session.go_on();
  }
  EXPECT_EQ(replies + with.take().size(), 100U);
}

TEST(SessionFrames, NoSequenceBreaksTheSession) {
  const std::vector<std::string> words = {"$",
                                          "#",
                                          "}",
                                          "+",
                                          "-",
                                          "\x03",
                                          ":",
                                          ";",
                                          ",",
                                          "=",
                                          "p1.1",
                                          "-1",
                                          "ffffffffffffffff",
                                          "0",
                                          "1000,10",
                                          "vCont",
                                          "c",
                                          "s",
                                          "r1,2",
                                          "t",
                                          "qXfer:features:read:target.xml:0,100",
                                          "Z0,1000,1",
                                          "z0",
                                          "X1000,1:",
                                          "m",
                                          "M",
                                          "x",
                                          "G",
                                          "P10=",
                                          "p",
                                          "Hg",
                                          "Hc",
                                          "D",
                                          "k",
                                          "vKill;1",
                                          "vAttach;1",
                                          "?",
                                          "qRcmd,",
                                          "qSearch:memory:",
                                          "QStartNoAckMode",
                                          "R00",
                                          "!",
                                          "T1",
                                          "qCRC:",
                                          "\xff\xfe"};
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 300; ++round) {
    Conversation with;
    with.target.map(0x1000, 0x1000);
    static_cast<void>(with.say("qSupported"));
    for (int i = 0; i < 60; ++i) {
      std::string payload;
      for (auto n = random() % 5; n > 0; --n) payload += words[random() % words.size()];
      static_cast<void>(with.say_raw(random() % 4 == 0 ? payload : framed(payload)));
    }
  }
}

}  // namespace session_frames_test

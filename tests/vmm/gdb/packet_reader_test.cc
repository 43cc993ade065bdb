#include "vmm/gdb/packet_reader.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "vmm/gdb/hex.h"
#include "vmm/gdb/packet_writer.h"

namespace packet_reader_test {

using vmm::gdb::framed;
using vmm::gdb::PacketEvent;
using vmm::gdb::PacketReader;

/// Events as text: the payload in brackets, other kinds as one sign each.
std::string shown(const PacketEvent& event) {
  switch (event.kind) {
    case PacketEvent::Kind::Packet:
      return "[" + event.payload + "]";
    case PacketEvent::Kind::Interrupt:
      return "!";
    case PacketEvent::Kind::Ack:
      return "+";
    case PacketEvent::Kind::Nak:
      return "-";
    case PacketEvent::Kind::BadChecksum:
      return "bad";
    case PacketEvent::Kind::TooLong:
      return "long";
    case PacketEvent::Kind::Noise:
      return "~";
  }
  return "?";
}

std::string read(PacketReader& reader, std::string_view bytes) {
  std::string out;
  while (const auto event = reader.next(bytes)) out += shown(*event);
  EXPECT_TRUE(bytes.empty());
  return out;
}

std::string read_all(std::string_view bytes) {
  PacketReader reader;
  return read(reader, bytes);
}

/// One byte at a time; runs of noise then count byte by byte.
std::string read_bytewise(std::string_view bytes) {
  PacketReader reader;
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); ++i) out += read(reader, bytes.substr(i, 1));
  return out;
}

struct Case {
  std::string bytes;
  std::string events;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"", ""},
      {"$OK#9a", "[OK]"},
      {"+$?#3f", "+[?]"},
      {"$g#67$m0,4#fd", "[g][m0,4]"},
      {"$#00", "[]"},
      {"-+\x03", "-+!"},
      {"$OK#9A", "[OK]"},
      {"$OK#9b", "bad"},
      {"$OK#zz$OK#9a", "bad[OK]"},
      {"$half$OK#9a", "[OK]"},           // cut off, sent again
      {"$X0,1:}\x03#9f", "[X0,1:#]"},    // an escaped '#'
      {"$a}#de", "[a]"},                 // an escape of nothing
      {"$X0,1:\x03#22", "[X0,1:\x03]"},  // data: the sum counts it
      {"$X0,1:\x03#1f", "[X0,1:]!"},     // an interrupt that overtook the packet
      {"$?\x03\x03#3f+", "[?]!+"},       // two are one
      {"x$g#67", "~[g]"},
      {"$g#\x03g", "bad"},
  };
  return all;
}

TEST(PacketReader, FindsWhatIsThere) {
  for (const Case& each : cases()) EXPECT_EQ(read_all(each.bytes), each.events) << each.bytes;
}

TEST(PacketReader, DoesNotCareHowBytesArrive) {
  for (const Case& each : cases()) EXPECT_EQ(read_bytewise(each.bytes), each.events) << each.bytes;
}

TEST(PacketReader, RefusesPacketsLongerThanItOffered) {
  const std::string fits(vmm::gdb::kPacketSize - 4, 'm');
  EXPECT_EQ(read_all(framed(fits)), "[" + fits + "]");
  EXPECT_EQ(read_all(framed(fits + "m") + "$?#3f"), "long[?]");
  EXPECT_EQ(read_all(framed(std::string(std::size_t{10} << 20U, 'm'))), "long");
}

TEST(PacketReader, RestoresWhatTheEscapesHid) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::string data(random() % 300, '\0');
    for (char& each : data) each = static_cast<char>(random());
    std::string payload = "X0,0:";
    const std::string before = payload;
    vmm::gdb::append_escaped(payload, vmm::gdb::bytes_of(data), 10000);
    EXPECT_EQ(read_all(framed(payload)), "[" + before + data + "]");
  }
}

TEST(PacketReader, SurvivesRubbish) {
  std::mt19937 random(11);
  constexpr std::string_view kLetters = "$#}+-\x03 0aZ\xff";
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 60, '\0');
    for (char& each : bytes) each = kLetters[random() % kLetters.size()];
    PacketReader reader;
    static_cast<void>(read(reader, bytes));
    // Whatever came before, a new packet is understood.
    static_cast<void>(read(reader, "$#00"));
    EXPECT_EQ(read(reader, "$?#3f"), "[?]") << bytes;
  }
}

}  // namespace packet_reader_test

// Packets with one answer, and what a connection agrees on.
#include "vmm/gdb/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/vmm/gdb/conversation.h"
#include "vmm/gdb/hex.h"

namespace gdb_session_test {

using test::Conversation;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

struct Case {
  std::string_view packet;
  std::string_view reply;
};

/// In order, on one connection to two vCPUs with "0123456789abcdef" at 0x1000 and nothing behind 0x1fff.
constexpr Case kModernClient[] = {
    {"vMustReplyEmpty", ""},
    {"qFrobnicate", ""},
    {"qP0000001f0000000000000001", ""},
    {"qTStatus", ""},
    {"!", "OK"},
    {"vCont?", "vCont;c;C;s;S;t;r"},
    {"?", "T0506:0000000000000000;07:0000000000000000;10:0000000000000000;thread:p1.1;core:0;"},
    {"qC", "QCp1.1"},
    {"qAttached", "1"},
    {"qAttached:1", "1"},
    {"qfThreadInfo", "mp1.1,p1.2"},
    {"qsThreadInfo", "l"},
    {"Hgp1.2", "OK"},
    {"qC", "QCp1.2"},
    {"Hg0", "OK"},
    {"qC", "QCp1.2"},
    {"Hg-1", "OK"},
    {"Hgp1.3", "E.no such thread"},
    {"Hgp2.1", "E.no such thread"},
    {"Hcp1.-1", "OK"},
    {"Hc-1", "OK"},
    {"Hx1", "E.malformed packet: H wants g or c"},
    {"Hg1x", "E.malformed packet: H wants a thread"},
    {"Tp1.2", "OK"},
    {"Tp1.9", "E.no such thread"},
    {"qThreadExtraInfo,p1.1", "7663707530202868616c7465642c2043504c2030203c69646c653e29"},
    {"m1000,4", "30313233"},
    {"m1ffe,10", "0000"},  // as far as the page goes
    {"m3000,4", "E.0x3000 is not mapped: the page table entry is empty"},
    {"mffffffffffffffff,8", "E.0xffffffffffffffff is not mapped: the page table entry is empty"},
    {"m1000", "E.malformed packet: m wants address,length"},
    {"m1000,0", "E.malformed packet: m wants address,length"},
    {"m1000,4x", "E.malformed packet: m wants address,length"},
    {"m11112222333344445,1", "E.malformed packet: m wants address,length"},
    {"x1000,4", "b0123"},
    {"x1000,0", "b"},
    {"x3000,1", "E.0x3000 is not mapped: the page table entry is empty"},
    {"M1000,2:5859", "OK"},
    {"X1002,2:YZ", "OK"},
    {"X1000,0:", "OK"},
    {"m1000,4", "5859595a"},
    {"M1000,2:5", "E.malformed packet: M's data are no digits"},
    {"M1000,2:585", "E.malformed packet: M's data are no digits"},
    {"M1000,2:585858", "E.malformed packet: data and length differ"},
    {"X1000,ffffffffffffffff:Y", "E.malformed packet: data and length differ"},
    {"M3000,1:00", "E.0x3000 is not mapped"},
    {"qSearch:memory:1000;1000;89", "1,1008"},
    {"qSearch:memory:1000;8;89", "0"},
    {"qSearch:memory:1000;2000;zz", "E.0x2000 is not mapped: the page table entry is empty"},
    {"qSearch:memory:1000;100;", "E.a search for no bytes"},
    {"qSearch:other:1000;100;x", ""},
    {"qCRC:1008,1", "Cbc323f9c"},
    {"qCRC:3000,1", "E.0x3000 is not mapped: the page table entry is empty"},
    {"qMemoryRegionInfo:1234", "start:1000;size:1000;permissions:rw;"},
    {"qMemoryRegionInfo:3234", "start:3000;size:1000;"},
    {"Z0,1004,1", "OK"},
    {"Z2,1008,8", "OK"},
    {"Z3,1008,8", ""},
    {"Z9,1008,8", ""},
    {"Z0,1004", "E.malformed packet: Z wants type,address,kind"},
    {"z0,1004,1", "OK"},
    {"z2,1008,8", "OK"},
    {"qOffsets", ""},
    {"qqemu.Supported", "sstepbits;sstep;PhyMemMode"},
    {"qqemu.sstepbits", "ENABLE=1,NOIRQ=2,NOTIMER=4"},
    {"qqemu.sstep", "0x7"},
    {"Qqemu.sstep=0x1", "OK"},
    {"qqemu.sstep", "0x1"},
    {"Qqemu.sstep=8", "E.malformed packet: Qqemu.sstep takes 0 to 7"},
    {"qqemu.PhyMemMode", "0"},
    {"Qqemu.PhyMemMode:1", "OK"},
    {"m1000,4", "E.0x1000 is not mapped: the page table entry is empty"},
    {"m7000,2", "0000"},
    {"Qqemu.PhyMemMode:0", "OK"},
    {"Qqemu.PhyMemMode:2", "E.malformed packet: Qqemu.PhyMemMode takes :0 or :1"},
    {"qXfer:features:read:other.xml:0,10", "E.malformed packet: target.xml is the only description"},
    {"qXfer:features:read:target.xml:0,5", "m<?xml"},
    {"qXfer:features:read:target.xml:ffffff,5",
     "E.malformed packet: qXfer's offset is behind the document's end"},
    {"qXfer:memory-map:read::0,100", ""},
    {"vAttach;1", "T0506:0000000000000000;07:0000000000000000;10:0000000000000000;thread:p1.1;core:0;"},
    {"vAttach;2", "E.no machine has this number"},
    {"vRun;", ""},
    {"D;2", "E.no machine is attached; attach 1"},
    {"D;1", "OK"},
    {"m1000,4", "E.no machine is attached; attach 1"},
    {"c", "E.no machine is attached; attach 1"},
    {"?", "W00;process:1"},
    {"vAttach;1", "T0506:0000000000000000;07:0000000000000000;10:0000000000000000;thread:p1.1;core:0;"},
    {"m1000,4", "5859595a"},
};

void fill(test::FakeDebugTarget& target) {
  target.map(0x1000, vmm::gdb::bytes_of("0123456789abcdef"));
  target.map_physical(0x7000, 1);
}

TEST(Session, AnswersAModernClient) {
  Conversation with;
  fill(with.target);
  with.greet();
  for (const Case& each : kModernClient) EXPECT_EQ(with.ask(each.packet), each.reply) << each.packet;
}

TEST(Session, GivesPlainThreadsAndNumbersToAnOldClient) {
  Conversation with;
  fill(with.target);
  EXPECT_THAT(with.ask("qSupported:xmlRegisters=i386"), HasSubstr("PacketSize=20000;"));
  EXPECT_EQ(with.ask("qfThreadInfo"), "m1,2");
  EXPECT_EQ(with.ask("Hg2"), "OK");
  EXPECT_EQ(with.ask("qC"), "QC2");
  EXPECT_EQ(with.ask("m3000,1"), "E0e");
  EXPECT_EQ(with.ask("m"), "E16");
  EXPECT_THAT(with.ask("?"), HasSubstr("thread:1;"));
}

TEST(Session, TellsLldbErrorsItsWay) {
  Conversation with;
  EXPECT_EQ(with.ask("QEnableErrorStrings"), "OK");
  EXPECT_EQ(with.ask("Tp1.9"), "E02;" + vmm::gdb::hex_text("no such thread"));
}

TEST(Session, OffersWhatItHas) {
  Conversation with;
  const std::string offer = with.ask("qSupported:multiprocess+;swbreak+");
  for (const char* feature :
       {"PacketSize=20000", "QStartNoAckMode+", "multiprocess+", "swbreak+", "hwbreak+", "vContSupported+",
        "qXfer:features:read+", "qXfer:threads:read+", "binary-upload+"}) {
    EXPECT_THAT(offer, HasSubstr(feature));
  }
  EXPECT_THAT(offer, Not(HasSubstr("memory-map")));
  EXPECT_THAT(offer, Not(HasSubstr("ReverseStep")));
}

TEST(Session, EscapesBinaryReplies) {
  Conversation with;
  with.target.map(0x1000, vmm::gdb::bytes_of("#$}*x"));
  EXPECT_EQ(with.ask("x1000,5"), "b#$}*x");
  with.session.receive(vmm::gdb::framed("x1000,5"));
  EXPECT_THAT(with.wire.sent, HasSubstr("$b}\x03}\x04}]}\nx#"));
}

TEST(Session, GivesAsMuchAsAPacketHolds) {
  Conversation with;
  with.target.map(0x100000, std::size_t{1} << 20U);
  EXPECT_EQ(with.ask("m100000,100000").size(), vmm::gdb::kPacketSize - 4);
  EXPECT_EQ(with.ask("x100000,100000").size(), vmm::gdb::kPacketSize - 4);
  with.target.map(0x100000, vmm::gdb::bytes_of(std::string(vmm::gdb::kPacketSize, '#')));
  with.session.receive(vmm::gdb::framed("x100000,100000"));
  EXPECT_EQ(with.wire.sent.size(), 1 + vmm::gdb::kPacketSize - 1);  // '+', and one byte short of two
}

TEST(Session, HandsOutDocumentsInPieces) {
  Conversation with;
  with.greet();
  for (const std::string name : {"features:read:target.xml", "threads:read:"}) {
    std::string document;
    std::string piece = "m";
    while (piece.front() == 'm' && document.size() < 100000) {
      piece = with.ask("qXfer:" + name + ":" + vmm::gdb::hex_number(document.size()) + ",3f");
      document += piece.substr(1);
      ASSERT_FALSE(piece.empty());
    }
    EXPECT_THAT(document, StartsWith("<?xml"));
    EXPECT_EQ(with.ask("qXfer:" + name + ":0,1ffff"), "l" + document);
  }
  EXPECT_THAT(with.ask("qXfer:threads:read::0,1000"),
              HasSubstr(R"(<thread id="p1.2" core="1" name="vcpu1">halted, CPL 0 &lt;idle&gt;</thread>)"));
}

TEST(Session, TellsWhereTheKernelIs) {
  Conversation with;
  with.target.set_kernel_text(0xffffffff9a000000);
  EXPECT_EQ(with.ask("qOffsets"), "TextSeg=ffffffff9a000000");
  EXPECT_EQ(with.ask("QEnableErrorStrings"), "OK");  // lldb, which wants the distance
  EXPECT_EQ(with.ask("qOffsets"), "Text=19000000;Data=19000000");
}

TEST(Session, StreamsTheMonitor) {
  Conversation with;
  with.greet();
  EXPECT_THAT(with.say("qRcmd," + vmm::gdb::hex_text("echo hi")),
              ElementsAre("O" + vmm::gdb::hex_text("hi\n"), "OK"));
  EXPECT_THAT(with.say("qRcmd," + vmm::gdb::hex_text("rm")),
              ElementsAre("E.'rm' is not a command; try help"));
  EXPECT_THAT(with.say("qRcmd,zz"), ElementsAre("E.malformed packet: qRcmd wants digits"));
  Conversation old;
  EXPECT_THAT(old.say("qRcmd," + vmm::gdb::hex_text("rm")),
              ElementsAre("O" + vmm::gdb::hex_text("'rm' is not a command; try help\n"), "E16"));
}

TEST(Session, KeepsPacketsOutOfErrorTexts) {
  Conversation with;
  with.greet();
  with.target.fail_next({uvm::ErrorKind::Pinned, "a#b$c}d*e\nf"});
  EXPECT_EQ(with.ask("Z0,1000,1"), "E.a_b_c_d_e\\nf");
}

TEST(Session, GivesLongWorkUpWhenNobodyWaits) {
  Conversation with;
  with.greet();
  with.target.map(0x1000, 0x1000);
  with.wire.is_cancelled = true;
  EXPECT_EQ(with.ask("qSearch:memory:1000;1000;x"), "E.interrupted at 0x1000");
  EXPECT_EQ(with.ask("qCRC:1000,1000"), "E.interrupted at 0x1000");
}

TEST(Session, SearchesAcrossItsChunks) {
  Conversation with;
  const std::size_t size = std::size_t{3} << 20U;
  with.target.map(0x100000, size);
  const std::string needle(100, 'n');
  // Across the first chunk's end, whose size the pattern is a part of.
  const std::uint64_t at = 0x100000 + (std::uint64_t{1} << 20U) + 50;
  with.target.map(at, vmm::gdb::bytes_of(needle));
  EXPECT_EQ(with.ask("qSearch:memory:100000;300000;" + needle), "1," + vmm::gdb::hex_number(at));
  EXPECT_EQ(with.ask("qSearch:memory:100000;300000;" + needle + "n"), "0");
}

}  // namespace gdb_session_test

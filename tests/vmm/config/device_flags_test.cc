#include "vmm/config/device_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vmm::config {
namespace device_flags_test {

using ::testing::HasSubstr;
using virtio::net::BackEnd;
using virtio::net::MacAddress;

TEST(NetFlag, NamesATapInterface) {
  const auto plain = parse_network("tap=tap0");
  ASSERT_TRUE(plain) << plain.error().text();
  EXPECT_EQ(plain->back_end, BackEnd::Tap);
  EXPECT_EQ(plain->tap, "tap0");
  EXPECT_FALSE(plain->mac);
  EXPECT_TRUE(plain->id.empty());
  const auto full = parse_network("tap=tap0,id=inner,mac=02:00:5E:aa:bb:01");
  ASSERT_TRUE(full) << full.error().text();
  EXPECT_EQ(full->id, "inner");
  EXPECT_EQ(full->mac, (MacAddress{2, 0, 0x5e, 0xaa, 0xbb, 1}));
  const auto qemu = parse_network("tap,id=n0,ifname=tap3");
  ASSERT_TRUE(qemu) << qemu.error().text();
  EXPECT_EQ(qemu->tap, "tap3");
}

TEST(NetFlag, NamesPasst) {
  const auto own = parse_network("passt,mac=02:00:00:00:00:01");
  ASSERT_TRUE(own) << own.error().text();
  EXPECT_EQ(own->back_end, BackEnd::Passt);
  EXPECT_EQ(own->passt_socket, "");
  EXPECT_TRUE(own->mac);
  const auto given = parse_network("passt=/run/passt.sock");
  ASSERT_TRUE(given) << given.error().text();
  EXPECT_EQ(given->passt_socket, "/run/passt.sock");
}

TEST(NetFlag, SaysWhatIsWrong) {
  for (const char* text :
       {"", "tap", "tap=", "user", "tapped=x", "passt,ifname=x", "tap=a,", "tap=a,speed=9",
        "tap=a,id=", "tap=a,mac=", "tap=a,mac=02:00:00:00:00", "tap=a,mac=02:00:00:00:00:0g",
        "tap=a,mac=02-00-00-00-00-01", "tap=a,ifname=b", "passt,tap=x"}) {
    const auto wrong = parse_network(text);
    ASSERT_FALSE(wrong) << text;
    EXPECT_EQ(wrong.error().kind(), uvm::ErrorKind::Invalid) << text;
    EXPECT_NE(wrong.error().way_out(), "") << text;
    EXPECT_EQ(wrong.error().text().find('\n'), std::string::npos);
  }
  EXPECT_THAT(parse_network("user").error().text(), HasSubstr("passt[=SOCKET]"));
}

TEST(VsockFlag, IsAnAddressAndAPath) {
  const auto plain = parse_vsock("3,/run/guest.vsock");
  ASSERT_TRUE(plain) << plain.error().text();
  EXPECT_EQ(plain->cid, 3U);
  EXPECT_EQ(plain->socket, "/run/guest.vsock");
  const auto spelled = parse_vsock("cid=42,socket=a,b");
  ASSERT_TRUE(spelled) << spelled.error().text();
  EXPECT_EQ(spelled->cid, 42U);
  EXPECT_EQ(spelled->socket, "a,b") << "a path may hold commas";
}

TEST(VsockFlag, SaysWhatIsWrong) {
  for (const char* text : {"", "3", "3,", ",/run/x", "x,/run/x", "3x,/run/x", "-3,/run/x",
                           "4294967296,/run/x", "cid=,socket=x"}) {
    const auto wrong = parse_vsock(text);
    ASSERT_FALSE(wrong) << text;
    EXPECT_EQ(wrong.error().kind(), uvm::ErrorKind::Invalid) << text;
    EXPECT_THAT(wrong.error().text(), HasSubstr("CID,SOCKET")) << text;
  }
}

TEST(BalloonFlag, IsASizeAndWhatMoreIsWanted) {
  const auto plain = parse_balloon("512M");
  ASSERT_TRUE(plain) << plain.error().text();
  EXPECT_EQ(*plain, (virtio::balloon::Options{.bytes = std::uint64_t{512} << 20U}));
  const auto all = parse_balloon("0,reporting,stats=5,deflate-on-oom");
  ASSERT_TRUE(all) << all.error().text();
  EXPECT_EQ(*all, (virtio::balloon::Options{.bytes = 0,
                                            .out_of_memory = virtio::balloon::OutOfMemory::Deflate,
                                            .free_pages = virtio::balloon::FreePages::Reported,
                                            .statistics_seconds = 5}));
}

TEST(BalloonFlag, SaysWhatIsWrong) {
  for (const char* text : {"", ",reporting", "x", "1G,", "1G,report", "1G,stats", "1G,stats=", "1G,stats=0",
                           "1G,stats=5s", "1G,stats=-1", "1G,stats=4294967296", "1G,reporting=on"}) {
    const auto wrong = parse_balloon(text);
    ASSERT_FALSE(wrong) << text;
    EXPECT_EQ(wrong.error().kind(), uvm::ErrorKind::Invalid) << text;
    EXPECT_NE(wrong.error().way_out(), "") << text;
  }
}

TEST(PmemFlag, IsAPathAndAName) {
  const auto plain = parse_pmem("/images/a,b");
  ASSERT_TRUE(plain) << plain.error().text();
  EXPECT_EQ(*plain, (virtio::pmem::Options{.id = "", .path = "/images/a,b"})) << "a path may hold commas";
  const auto spelled = parse_pmem("file=/images/a,id=tools");
  ASSERT_TRUE(spelled) << spelled.error().text();
  EXPECT_EQ(*spelled, (virtio::pmem::Options{.id = "tools", .path = "/images/a"}));
}

TEST(PmemFlag, SaysWhatIsWrong) {
  for (const char* text : {"", "file=", ",id=x", "/images/a,id="}) {
    const auto wrong = parse_pmem(text);
    ASSERT_FALSE(wrong) << text;
    EXPECT_THAT(wrong.error().text(), HasSubstr("PATH")) << text;
  }
}

}  // namespace device_flags_test
}  // namespace vmm::config

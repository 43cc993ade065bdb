// Tap interfaces of the kernel's, where this process may make them; two on one bridge, or one and a socket.
#include "vmm/virtio/net/tap.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>

#include "tests/support/eventually.h"

namespace vmm::virtio::net {
namespace tap_test {

using test::eventually;
using ::testing::HasSubstr;

constexpr std::uint16_t kProtocol = 0x88b5;  // for experiments

/// An interface that a test makes, and a raw socket on its other side.
class TapTest : public testing::Test {
 protected:
  void SetUp() override {
    name_ = "uvmm" + std::to_string(::getpid());
    auto opened = Tap::open(name_);
    if (!opened) GTEST_SKIP() << opened.error().text();
    tap_ = *std::move(opened);
    ASSERT_TRUE(tap_->agree(0));
    socket_ = Fd(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket_) GTEST_SKIP() << "no raw socket: " << std::strerror(errno);
  }
  void set_up(bool up) {
    ifreq request{};
    std::memcpy(request.ifr_name, name_.data(), name_.size());
    ASSERT_EQ(::ioctl(socket_.get(), SIOCGIFFLAGS, &request), 0);
    request.ifr_flags = static_cast<short>(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
    ASSERT_EQ(::ioctl(socket_.get(), SIOCSIFFLAGS, &request), 0);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(kProtocol);
    address.sll_ifindex = static_cast<int>(::if_nametoindex(name_.c_str()));
    ASSERT_EQ(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  static std::string frame(std::size_t bytes) {
    std::string text("\x02\x00\x5e\x01\x02\x03\x02\x00\x5e\x01\x02\x04\x88\xb5", 14);
    while (text.size() < bytes) text.push_back(static_cast<char>('a' + text.size() % 26));
    return text;
  }
  Outcome send(std::string bytes, const Header& header = {}) {
    const std::array<iovec, 2> parts{iovec{bytes.data(), 20}, iovec{bytes.data() + 20, bytes.size() - 20}};
    return tap_->send(header, parts);
  }
  /// The next frame of this test's; others (neighbour discovery) are passed over.
  std::string receive(std::size_t room) {
    std::string bytes;
    EXPECT_TRUE(eventually([&] {
      bytes.assign(room, '\0');
      const iovec part{bytes.data(), bytes.size()};
      Incoming incoming;
      if (tap_->receive(std::span(&part, 1), incoming) != Outcome::Done) return false;
      bytes.resize(incoming.bytes - incoming.rest.size());
      for (const std::byte byte : incoming.rest) bytes.push_back(static_cast<char>(byte));
      return bytes.substr(12, 2) == "\x88\xb5";
    }));
    return bytes;
  }

  std::string name_;
  std::unique_ptr<Tap> tap_;
  Fd socket_;
};

TEST_F(TapTest, FramesGoBothWays) {
  set_up(true);
  EXPECT_EQ(send(frame(1000)), Outcome::Done);
  std::string got(2000, '\0');
  ASSERT_TRUE(eventually([&] {
    const ssize_t bytes = ::recv(socket_.get(), got.data(), got.size(), 0);
    if (bytes > 0) got.resize(static_cast<std::size_t>(bytes));
    return bytes > 0;
  }));
  EXPECT_EQ(got, frame(1000));
  ASSERT_EQ(::send(socket_.get(), frame(1200).data(), 1200, 0), 1200);
  EXPECT_EQ(receive(2000), frame(1200));
  ASSERT_EQ(::send(socket_.get(), frame(1200).data(), 1200, 0), 1200);
  EXPECT_EQ(receive(500), frame(1200)) << "what has no room in the driver's buffers is handed out too";
}

TEST_F(TapTest, NothingComesIsSaid) {
  const iovec part{nullptr, 0};
  Incoming incoming;
  EXPECT_EQ(tap_->receive(std::span(&part, 0), incoming), Outcome::Later);
}

TEST_F(TapTest, AnInterfaceThatIsDownRefusesFrames) {
  EXPECT_EQ(send(frame(60)), Outcome::Refused);
  set_up(true);
  EXPECT_EQ(send(frame(60)), Outcome::Done);
}

TEST_F(TapTest, TheKernelRefusesHeadersThatWeWould) {
  set_up(true);
  Header header;
  header.flags = Header::kNeedsChecksum;
  header.checksum_start = 0xffff;
  EXPECT_EQ(send(frame(60), header), Outcome::Refused);
}

TEST_F(TapTest, OffloadsFollowTheDriver) {
  for (const std::uint64_t features :
       {Tap::kKind.features, feature::kGuestCsum, feature::kGuestCsum | feature::kGuestTso4,
        std::uint64_t{feature::kGuestTso4}, std::uint64_t{0}}) {
    EXPECT_TRUE(tap_->agree(features)) << std::hex << features;
  }
}

TEST_F(TapTest, OneProcessHasAnInterface) {
  const auto second = Tap::open(name_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), uvm::ErrorKind::Busy);
  EXPECT_THAT(second.error().text(), HasSubstr(name_));
}

TEST_F(TapTest, AnInterfaceOfAnotherKindIsNotTaken) {
  const auto loopback = Tap::open("lo");
  ASSERT_FALSE(loopback);
  EXPECT_THAT(loopback.error().text(), HasSubstr("tap interface lo"));
}

TEST(TapName, MustBeAnInterfaces) {
  for (const char* name : {"", "sixteen-bytes-is", "a/b", "a b", "tap%d", "eth0:1"}) {
    const auto opened = Tap::open(name);
    ASSERT_FALSE(opened) << name;
    EXPECT_EQ(opened.error().kind(), uvm::ErrorKind::Invalid) << name;
  }
}

}  // namespace tap_test
}  // namespace vmm::virtio::net

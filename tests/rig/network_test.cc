// A stock Debian guest on the network, over passt and over a tap interface: files both ways, with their sums.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "tests/rig/real_root.h"
#include "tests/rig/virtio_guest.h"
#include "tests/support/background_process.h"
#include "tests/support/eventually.h"
#include "tests/support/places.h"

namespace network_test {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr std::chrono::seconds kLimit{600};
constexpr const char* kPasst = "/usr/bin/passt";
constexpr const char* kBusybox = "/usr/bin/busybox";

class NetworkLinux : public test::VirtioGuest {
 protected:
  static void SetUpTestSuite() {
    VirtioGuest::SetUpTestSuite();
    add_modules({"failover", "net_failover", "virtio_net"});
    fs::create_directories(folder_ / "www");
    std::ofstream data(folder_ / "www" / "data", std::ios::binary);
    for (std::uint32_t i = 0; i < 2'000'000; ++i) data.put(static_cast<char>(i * 2654435761U >> 13));
  }
  void SetUp() override {
    VirtioGuest::SetUp();
    if (IsSkipped()) return;
    if (!fs::exists(kBusybox)) GTEST_SKIP() << kBusybox << " is not installed (package busybox-static)";
    const auto ready = shell("$0/tests/rig/host_network.sh up");
    if (ready.status != 0) GTEST_SKIP() << "no tap interfaces here: " << ready.err;
  }
  void TearDown() override {
    if (!IsSkipped()) (void)shell("$0/tests/rig/host_network.sh down");
  }
  static test::ProcessResult shell(const std::string& script) {
    return test::run_process({"/bin/sh", "-c", script, test::source_dir()});
  }
  static std::vector<std::string> with_prefix(std::vector<std::string> words,
                                              const std::vector<std::string>& more) {
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  static std::vector<std::string> machine(const std::string& words, const std::string& link) {
    return VirtioGuest::machine(script(words), {"--net", link});
  }
  static std::string sum_of(const std::string& path) {
    return test::run_process({"/usr/bin/md5sum", path}).out.substr(0, 32);
  }
  /// Fetches a file from the host, and sends it one of its own.
  static std::string transfer(const std::string& host) {
    return "cat /proc/uptime; wget -q -O /tmp/data http://" + host +
           ":8080/data; cat /proc/uptime; "
           "echo fetched=$(md5sum </tmp/data); head -c 2000000 /dev/urandom >/tmp/own; "
           "echo own=$(md5sum </tmp/own); cat /proc/uptime; nc " +
           host + " 9000 </tmp/own; cat /proc/uptime; cat /proc/net/dev; ip link show dev eth0; ";
  }
  void expect_transferred(const std::string& output) {
    EXPECT_EQ(sum_behind(output, "fetched="), sum_of(file("www/data"))) << output;
    EXPECT_TRUE(test::eventually([&] { return sum_of(file("uploaded")) == sum_behind(output, "own="); }))
        << output;
  }
  /// The host's ends of it. A netcat whose input has ended would end the guest's, too.
  test::BackgroundProcess web_{{kBusybox, "httpd", "-f", "-p", "8080", "-h", file("www")}, file("web.log")};
  test::BackgroundProcess sink_{
      {"/bin/sh", "-c", "sleep 1000 | busybox nc -l -p 9000 >\"$0\"", file("uploaded")}, file("sink.log")};
};

TEST_F(NetworkLinux, PasstGivesAnAddressAndFilesGoBothWays) {
  if (!fs::exists(kPasst)) GTEST_SKIP() << kPasst << " is not installed (package passt)";
  test::BackgroundProcess guest(
      with_prefix(test::in_real_root(),
                  machine("cat >/tmp/dhcp <<'END'\n#!/bin/sh\n"
                          "[ \"$1\" = bound ] && ip addr add $ip/24 dev eth0 && "
                          "ip route add default via $router && echo address=$ip router=$router\nEND\n"
                          "chmod +x /tmp/dhcp; ip link set lo up; ip link set eth0 up; "
                          "udhcpc -i eth0 -n -q -s /tmp/dhcp; " +
                              transfer("10.55.0.2"),
                          "passt")),
      file("machine.log"));
  EXPECT_EQ(guest.wait(kLimit), 0) << guest.output();
  EXPECT_THAT(guest.output(), HasSubstr("address=10.55.0.1 router=10.55.0.2"));
  EXPECT_THAT(guest.output(), HasSubstr("mtu 65520")) << "without being told";
  expect_transferred(guest.output());
}

TEST_F(NetworkLinux, ATapInterfaceTakesFilesBothWays) {
  test::BackgroundProcess guest(
      machine("ip link set lo up; ip addr add 10.66.0.2/24 dev eth0; ip link set eth0 up; "
              "cat /sys/class/net/eth0/address; " +
                  transfer("10.66.0.1"),
              "tap=uvmm-tap,mac=02:00:5e:10:00:07"),
      file("machine.log"));
  EXPECT_EQ(guest.wait(kLimit), 0) << guest.output();
  EXPECT_THAT(guest.output(), HasSubstr("02:00:5e:10:00:07"));
  expect_transferred(guest.output());
}

TEST_F(NetworkLinux, AGuestOutlivesItsPasst) {
  if (!fs::exists(kPasst)) GTEST_SKIP() << kPasst << " is not installed (package passt)";
  test::BackgroundProcess guest(
      with_prefix(test::in_real_root(),
                  machine("ip link set eth0 up; sleep 1; cat /sys/class/net/eth0/carrier; "
                          "echo rea\"\"dy; until [ \"$(cat /sys/class/net/eth0/carrier)\" = 0 ]; "
                          "do sleep 1; done; echo carrier-lo\"\"st",
                          "passt")),
      file("machine.log"));
  ASSERT_TRUE(guest.prints("ready", 0, kLimit)) << guest.output();
  ASSERT_EQ(shell("kill -9 $(busybox pidof passt passt.avx2)").status, 0);
  EXPECT_TRUE(guest.prints("carrier-lost", 0, kLimit)) << guest.output();
  EXPECT_EQ(guest.wait(kLimit), 0) << guest.output();
  EXPECT_THAT(guest.output(), HasSubstr("network interface has lost its link"));
}

}  // namespace network_test

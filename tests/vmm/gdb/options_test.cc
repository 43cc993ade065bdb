#include "vmm/gdb/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace gdb_options_test {

using ::testing::HasSubstr;
using vmm::gdb::parse_listen_address;

TEST(ListenAddress, IsReadAndPrinted) {
  struct Case {
    std::string text;
    std::string canonical;
  };
  const std::vector<Case> cases = {
      {"tcp:1234", "tcp:127.0.0.1:1234"},
      {"tcp::1234", "tcp:127.0.0.1:1234"},
      {"tcp:localhost:1234", "tcp:127.0.0.1:1234"},
      {"tcp:0", "tcp:127.0.0.1:0"},
      {"tcp:0.0.0.0:65535", "tcp:0.0.0.0:65535"},
      {"tcp:[::1]:7", "tcp:[::1]:7"},
      {"tcp:::1:7", "tcp:[::1]:7"},
      {"unix:/run/g.sock", "unix:/run/g.sock"},
      {"unix:a b", "unix:a b"},
      {std::string(vmm::gdb::kUsualAddress), "tcp:127.0.0.1:1234"},
  };
  for (const Case& each : cases) {
    const auto address = parse_listen_address(each.text);
    ASSERT_TRUE(address) << each.text;
    EXPECT_EQ(to_string(*address), each.canonical);
    EXPECT_EQ(parse_listen_address(each.canonical).value(), *address);
  }
}

TEST(ListenAddress, WrongOnesSayWhy) {
  struct Case {
    std::string text;
    std::string why;
  };
  const std::vector<Case> cases = {
      {"", "is no place to listen at; write tcp:PORT, tcp:ADDRESS:PORT or unix:PATH"},
      {"1234", "is no place"},
      {"udp:1234", "is no place"},
      {"TCP:1234", "is no place"},
      {"tcp:", "has no port"},
      {"tcp:x", "has no port"},
      {"tcp:65536", "has no port"},
      {"tcp:-1", "has no port"},
      {"tcp:12 ", "has no port"},
      {"tcp:example.org:12", "names no numeric address"},
      {"tcp:1.2.3:12", "names no numeric address"},
      {"tcp:1.2.3.4:", "has no port"},
      {"unix:", "names no path"},
      {"unix:" + std::string(108, 'x'), "longer than a socket's path may be"},
      {std::string("unix:a\0b", 8), "has a zero byte"},
      {"tcp:\x1b[31m:1", "'tcp:\\x1b[31m:1' names no numeric address"},
  };
  for (const Case& each : cases) {
    const auto address = parse_listen_address(each.text);
    ASSERT_FALSE(address) << each.text;
    EXPECT_THAT(address.error().text(), HasSubstr(each.why));
    EXPECT_EQ(address.error().text().find('\n'), std::string::npos);
  }
}

}  // namespace gdb_options_test

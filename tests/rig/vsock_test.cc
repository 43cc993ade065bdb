// Programs of a stock Debian guest and programs here talk to each other over vsock.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <string>
#include <thread>

#include "tests/rig/virtio_guest.h"
#include "tests/support/background_process.h"
#include "tests/support/places.h"
#include "vmm/virtio/vsock/listener.h"

namespace vsock_test {

using vmm::Fd;

constexpr std::chrono::seconds kLimit{600};
constexpr std::size_t kBytes = 1'000'000;

class VsockLinux : public test::VirtioGuest {
 protected:
  static void SetUpTestSuite() {
    VirtioGuest::SetUpTestSuite();
    add_modules({"vsock", "vmw_vsock_virtio_transport_common", "vmw_vsock_virtio_transport"});
    const auto built =
        test::run_process({"/bin/sh", "-c",
                           "mkdir -p \"$0/add/bin\" && " + test::compiler() +
                               " -x c -static -Os -o \"$0/add/bin/vsock_echo\" \"$1\" && "
                               "cd \"$0/add\" && find . | cpio --quiet -o -H newc | gzip -1 >../add.gz",
                           folder_.string(), test::source_dir() + "/tests/rig/vsock_echo.c"});
    ASSERT_EQ(built.status, 0) << built.err;
    append(file("add.gz"));
  }
  void SetUp() override {
    VirtioGuest::SetUp();
    std::filesystem::remove(socket());
  }
  static std::string socket() { return file("vsock"); }
  static std::vector<std::string> machine(const std::string& words) {
    return VirtioGuest::machine(script(words), {"--vsock", "3," + socket()});
  }
  static std::string data() {
    std::string text(kBytes, '\0');
    for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 2654435761U >> 13);
    return text;
  }
  /// Until the other side's end.
  static std::string read_all(const Fd& from) {
    std::string all;
    std::array<char, 65536> bytes{};
    for (ssize_t got = 0; (got = ::recv(from.get(), bytes.data(), bytes.size(), 0)) > 0;) {
      all.append(bytes.data(), static_cast<std::size_t>(got));
    }
    return all;
  }
  static void write_all(const Fd& to, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(to.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      ASSERT_GT(sent, 0) << std::strerror(errno);
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
};

TEST_F(VsockLinux, AProgramHereCallsOneInTheGuest) {
  test::BackgroundProcess guest(machine("vsock_echo listen 52"), file("machine.log"));
  ASSERT_TRUE(guest.prints("vsock_echo: listening", 0, kLimit)) << guest.output();
  auto connected = vmm::virtio::vsock::connect_to(socket());
  ASSERT_TRUE(connected) << connected.error().text();
  ASSERT_EQ(::fcntl(connected->get(), F_SETFL, 0), 0) << "it may wait";
  write_all(*connected, "CONNECT 52\n");
  std::string answer;
  for (char letter = 0; letter != '\n' && ::recv(connected->get(), &letter, 1, 0) == 1;) answer += letter;
  EXPECT_THAT(answer, ::testing::MatchesRegex("OK [0-9]+\n"));
  std::thread writing([&] {
    write_all(*connected, data());
    ::shutdown(connected->get(), SHUT_WR);
  });
  const std::string echoed = read_all(*connected);
  writing.join();
  EXPECT_TRUE(echoed == data()) << echoed.size() << " bytes";
  EXPECT_EQ(guest.wait(kLimit), 0) << guest.output();
  EXPECT_THAT(guest.output(), ::testing::HasSubstr("uvmm-guest: end 0"));
}

TEST_F(VsockLinux, AProgramInTheGuestCallsOneHere) {
  auto listener = vmm::virtio::vsock::listen_at(socket() + "_1234");
  ASSERT_TRUE(listener) << listener.error().text();
  ASSERT_EQ(::fcntl(listener->fd(), F_SETFL, 0), 0);
  std::string heard;
  std::thread echoing([&] {
    const Fd connection(::accept4(listener->fd(), nullptr, nullptr, SOCK_CLOEXEC));
    heard = read_all(connection);
    write_all(connection, heard);
  });
  test::BackgroundProcess guest(
      machine("head -c 1000000 /dev/urandom >/tmp/sent; vsock_echo call 1234 </tmp/sent >/tmp/got; "
              "cmp /tmp/sent /tmp/got && echo sa\"\"me; vsock_echo call 1235 </dev/null || echo refu\"\"sed"),
      file("machine.log"));
  EXPECT_EQ(guest.wait(kLimit), 0) << guest.output();
  EXPECT_THAT(guest.output(), ::testing::HasSubstr("same"));
  EXPECT_THAT(guest.output(), ::testing::HasSubstr("refused")) << "where nobody listens";
  // Nobody came: the thread is not to wait for ever.
  if (heard.empty()) (void)vmm::virtio::vsock::connect_to(socket() + "_1234");
  echoing.join();
  EXPECT_EQ(heard.size(), kBytes);
}

}  // namespace vsock_test

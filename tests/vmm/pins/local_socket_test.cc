#include "vmm/pin_client/local_socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <string>
#include <thread>

#include "tests/support/temp_folder.h"
#include "vmm/pin_client/local_listener.h"

namespace vmm::pins {
namespace local_socket_test {

/// A program between bind() and listen().
class AboutToListen {
 public:
  explicit AboutToListen(const std::string& path) {
    const auto address = local_address(path, "socket ");
    EXPECT_TRUE(address);
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address), 0);
  }
  ~AboutToListen() {
    if (thread_.joinable()) thread_.join();
  }
  AboutToListen(const AboutToListen&) = delete;
  AboutToListen& operator=(const AboutToListen&) = delete;

  void listen_soon() {
    thread_ = std::thread([this] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      EXPECT_EQ(::listen(fd_.get(), 1), 0);
    });
  }

 private:
  const Fd fd_ = new_socket(SocketKind::Stream, SocketCalls::Block);
  std::thread thread_;
};

TEST(LocalSocket, WaitsForOneWhoIsAboutToListen) {
  const test::TempFolder folder("socket");
  const std::string path = folder.file("s");
  AboutToListen other(path);
  other.listen_soon();
  const auto connection = connect_to(path, SocketKind::Stream);
  EXPECT_TRUE(connection) << connection.error().text();
}

TEST(LocalSocket, OfADeadOneRefusesAndDoesNotWaitForLong) {
  const test::TempFolder folder("socket");
  const std::string path = folder.file("s");
  { const AboutToListen dead(path); }
  const auto connection = connect_to(path, SocketKind::Stream);
  ASSERT_FALSE(connection);
  EXPECT_NE(connection.error().text().find(path + ": connect: Connection refused"), std::string::npos);
}

TEST(LocalListener, DoesNotTakeThePlaceOfOneWhoIsAboutToListen) {
  const test::TempFolder folder("socket");
  const std::string path = folder.file("s");
  AboutToListen other(path);
  other.listen_soon();
  const auto listener = LocalListener::open(path, SocketKind::Stream);
  ASSERT_FALSE(listener);
  EXPECT_EQ(listener.error().kind(), uvm::ErrorKind::Busy);
}

TEST(LocalListener, TakesThePlaceOfADeadOne) {
  const test::TempFolder folder("socket");
  const std::string path = folder.file("s");
  { const AboutToListen dead(path); }
  const auto listener = LocalListener::open(path, SocketKind::Stream);
  ASSERT_TRUE(listener) << listener.error().text();
  EXPECT_TRUE(connect_to(path, SocketKind::Stream));
}

}  // namespace local_socket_test
}  // namespace vmm::pins

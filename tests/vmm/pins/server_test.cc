// The pin socket as a device process sees it.
#include "vmm/pins/server.h"
#include "tests/support/eventually.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <fstream>

#include "tests/vmm/pins/pin_space.h"
#include "vmm/pin_client/client.h"
#include "vmm/pin_client/local_socket.h"
#include "vmm/pin_client/message.h"

namespace vmm::pins {
namespace pins_server_test {

using ::testing::HasSubstr;

class PinServer : public test::PinSpace {
 protected:
  PinServer() {
    Environment environment{*space_, uvm::kNoPinLimit, [this] { ++rung_; }};
    auto server = vmm::pins::serve(path_, environment);
    EXPECT_TRUE(server) << server.error().text();
    server_ = std::move(*server);
    EXPECT_TRUE(server_->start());
  }
  Client client(const std::string& name = "nic") {
    auto made = Client::connect(path_, name);
    EXPECT_TRUE(made) << made.error().text();
    return std::move(*made);
  }
  static std::uint64_t& word_of(const RemotePin& pin, std::uint64_t page = 0) {
    return *reinterpret_cast<std::uint64_t*>(pin.bytes().data() + page * kPage);
  }

  static inline std::atomic<int> next_{0};
  const std::string path_ =
      testing::TempDir() + "uvmm-pins-" + std::to_string(::getpid()) + "-" + std::to_string(++next_);
  std::atomic<int> rung_{0};
  std::unique_ptr<vmm::PacketServer> server_;
};

TEST_F(PinServer, BothSidesSeeTheSameBytes) {
  Client nic = client();
  set_word(2, 17);
  set_word(kRamPages, 18);
  auto ram = nic.pin(pages(2, 3));
  ASSERT_TRUE(ram) << ram.error().text();
  auto own = nic.pin(pages(kRamPages, 2));
  ASSERT_TRUE(own) << own.error().text();
  EXPECT_EQ(word_of(*ram), 17U);
  EXPECT_EQ(word_of(*own), 18U);
  word_of(*ram, 1) = 19;
  word_of(*own, 1) = 20;
  EXPECT_EQ(word(3), 19U);
  EXPECT_EQ(word(kRamPages + 1), 20U);
  set_word(kRamPages, 21);
  EXPECT_EQ(word_of(*own), 21U);
  EXPECT_TRUE(own->unpin());
  EXPECT_EQ(pinned(), 3 * kPage);
  EXPECT_EQ(word(kRamPages + 1), 20U) << "the page is the guest's still";
}

TEST_F(PinServer, AScatterListIsOneRequest) {
  Client nic = client();
  const auto pin = nic.pin({pages(5, 1), pages(kRamPages + 3, 2), pages(1, 2)});
  ASSERT_TRUE(pin) << pin.error().text();
  ASSERT_EQ(pin->ranges().size(), 3U);
  pin->bytes(1)[kPage] = std::byte{7};
  EXPECT_EQ(word(kRamPages + 4), 7U);
}

TEST_F(PinServer, MemoryForReadingIsReadOnly) {
  Client nic = client();
  set_word(1, 5);
  const auto pin = nic.pin(pages(1, 1), uvm::PinAccess::Read);
  ASSERT_TRUE(pin) << pin.error().text();
  EXPECT_EQ(word_of(*pin), 5U);
  // The kernel writes there as little as anybody, and says so.
  const Fd zeros(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  EXPECT_LT(::read(zeros.get(), pin->bytes().data(), 1), 0);
  EXPECT_EQ(errno, EFAULT);
  EXPECT_EQ(word_of(*pin), 5U);
}

TEST_F(PinServer, ABellInterruptsTheGuest) {
  Client nic = client();
  const auto bell = nic.bell();
  ASSERT_TRUE(bell) << bell.error().text();
  const std::uint64_t one = 1;
  for (int i = 1; i <= 3; ++i) {
    ASSERT_EQ(::write(bell->get(), &one, sizeof one), 8);
    EXPECT_TRUE(test::eventually([&] { return rung_ == i; }));
  }
}

TEST_F(PinServer, AKilledDeviceLeavesNothingPinned) {
  std::array<int, 2> ready{};
  ASSERT_EQ(::pipe(ready.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto nic = Client::connect(path_, "doomed");
    auto pin = nic->pin(pages(0, 4));
    const char byte = pin ? 'y' : 'n';
    static_cast<void>(::write(ready[1], &byte, 1));
    ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'y');
  ASSERT_EQ(pinned(), 4 * kPage);
  EXPECT_THAT(space_->pins().front().owner, HasSubstr("doomed (process " + std::to_string(child)));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(test::eventually([&] { return pinned() == 0; }));
}

TEST_F(PinServer, ItsEndUnpinsEverythingAndRemovesTheSocket) {
  Client nic = client();
  auto pin = nic.pin(pages(0, 4));
  ASSERT_TRUE(pin);
  server_->finish();
  EXPECT_EQ(pinned(), 0U);
  EXPECT_NE(::access(path_.c_str(), F_OK), 0);
  EXPECT_FALSE(nic.pin(pages(0, 1)));
  const auto unpinned = pin->unpin();
  ASSERT_FALSE(unpinned);
  EXPECT_EQ(unpinned.error().kind(), uvm::ErrorKind::PagerIo);
}

TEST_F(PinServer, TheSocketIsItsOwnersAlone) {
  struct stat info {};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  if (::geteuid() != 0) GTEST_SKIP() << "only root can come as somebody else";
  // Past the file's mode, so that the look at the credentials is what refuses.
  ASSERT_EQ(::chmod(path_.c_str(), 0666), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setuid(65534) != 0) ::_exit(2);
    ::_exit(Client::connect(path_, "stranger") ? 1 : 0);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST_F(PinServer, RefusalsAreUvmmsOwnWords) {
  Client nic = client();
  const auto nowhere = nic.pin(pages(50, 1));
  ASSERT_FALSE(nowhere);
  EXPECT_THAT(nowhere.error().text(), HasSubstr("0x32000"));
  EXPECT_TRUE(nic.pin(pages(0, 1))) << "the connection goes on";
  EXPECT_FALSE(Client::connect(path_, "two words"));
  EXPECT_FALSE(Client::connect(path_ + "-none", "nic"));
}

TEST_F(PinServer, WhoBreaksTheProtocolIsLetGoAndNobodyElse) {
  Client nic = client();
  const auto held = nic.pin(pages(0, 1));
  ASSERT_TRUE(held);
  for (int i = 0; i < 200; ++i) {
    const auto socket = connect_to(path_);
    ASSERT_TRUE(socket);
    Message garbage;
    garbage.put_text(i % 2 == 0 ? "hello?" : std::string(100'000, 'x'));
    if (i % 3 != 0) {
      ASSERT_TRUE(send(socket->get(), garbage));
    }
    if (i % 3 == 1) {
      EXPECT_TRUE(receive(socket->get()));
      EXPECT_FALSE(receive(socket->get()));
    }
  }
  EXPECT_TRUE(nic.pin(pages(1, 1)));
}

TEST_F(PinServer, WhoDoesNotTakeItsAnswersIsLetGo) {
  const auto flood = connect_to(path_);
  ASSERT_TRUE(flood);
  Message hello;
  hello.put(Header{Verb::Hello, 1, Outcome::Ok, 0});
  HelloRequest body;
  body.name[0] = 'f';
  hello.put(body);
  ASSERT_TRUE(send(flood->get(), hello));
  Message unpin;
  unpin.put(Header{Verb::Unpin, 2, Outcome::Ok, 0});
  unpin.put(UnpinRequest{7});
  bool is_refused = false;
  for (int i = 0; i < 100'000 && !is_refused; ++i) is_refused = !send(flood->get(), unpin);
  EXPECT_TRUE(is_refused);
  EXPECT_TRUE(client("other").pin(pages(0, 1)));
}

TEST_F(PinServer, APathInUseIsRefusedAndADeadOneIsTaken) {
  const Environment environment{*space_, uvm::kNoPinLimit, {}};
  const auto second = vmm::pins::serve(path_, environment);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), uvm::ErrorKind::Busy);
  const std::string file = path_ + ".txt";
  std::ofstream(file) << "mine";
  EXPECT_EQ(vmm::pins::serve(file, environment).error().kind(), uvm::ErrorKind::Invalid);
  ::unlink(file.c_str());
  EXPECT_EQ(vmm::pins::serve(std::string(200, 'p'), environment).error().kind(), uvm::ErrorKind::Invalid);
}

}  // namespace pins_server_test
}  // namespace vmm::pins

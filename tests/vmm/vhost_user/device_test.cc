// The front end against a back end in the same process: what it is told, what it may touch, how it is lost.
#include "vmm/vhost_user/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <iterator>
#include <string>
#include <thread>
#include <utility>

#include "tests/support/fake_back_end.h"
#include "tests/support/virtio_host.h"
#include "tests/vmm/pins/pin_space.h"
#include "vmm/devices/registers.h"

namespace vmm::vhost_user {
namespace vhost_user_device_test {

using test::eventually;
using test::FakeBackEnd;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Fault = FakeBackEnd::Fault;

/// What must not come would have come by then.
constexpr std::chrono::milliseconds kAWhile{50};

class VhostUser : public test::PinSpace {
 protected:
  uvm::Result<std::unique_ptr<Device>> connect(const std::string& path, Kind kind = Kind::Block) {
    return Device::create("vhost-user-blk0", {kind, path, "music"}, {*space_, {pages(0, kRamPages)}, 2});
  }
  /// Connected and attached.
  std::unique_ptr<Device> device(const FakeBackEnd& back_end, Kind kind = Kind::Block) {
    auto made = connect(back_end.path(), kind);
    EXPECT_TRUE(made) << made.error().text();
    EXPECT_TRUE((*made)->attach(host_));
    return *std::move(made);
  }
  /// And started by a driver.
  std::unique_ptr<Device> started(const FakeBackEnd& back_end, Kind kind = Kind::Block) {
    auto made = device(back_end, kind);
    made->start(activation());
    EXPECT_TRUE(eventually([&] { return back_end.running() == 1; }));
    return made;
  }
  /// One queue of 8 entries at page 2.
  virtio::Activation activation() {
    virtio::Queue queue;
    queue.size = 8;
    queue.descriptors = 2 * kPage;
    queue.driver_area = 2 * kPage + 0x200;
    queue.device_area = 2 * kPage + 0x400;
    queue.kick = &kick_;
    queue.call = &call_;
    return {virtio::kFeatureVersion1, {queue}};
  }
  template <class T>
  void put(std::uint64_t gpa, T value) {
    EXPECT_TRUE(uvm::Access::write_value(*space_, uvm::Gpa(gpa), value));
  }
  template <class T>
  T take(std::uint64_t gpa) {
    return uvm::Access::read_value<T>(*space_, uvm::Gpa(gpa)).value();
  }
  void put_descriptor(std::uint64_t index, std::uint64_t gpa, std::uint32_t bytes, std::uint16_t flags) {
    const std::uint64_t at = 2 * kPage + 16 * index;
    put(at, gpa);
    put(at + 8, bytes);
    put(at + 12, flags);
    put(at + 14, static_cast<std::uint16_t>(index + 1));
  }
  /// A request for sector 7, into page 5; its descriptors are the three from `head` on.
  void ask(std::uint16_t head = 0) {
    put<std::uint64_t>(4 * kPage, 0);
    put<std::uint64_t>(4 * kPage + 8, 7);
    put<std::uint8_t>(status_of(head), 0xff);
    put_descriptor(head, 4 * kPage, 16, 1);
    put_descriptor(head + 1U, 5 * kPage, 512, 3);
    put_descriptor(head + 2U, status_of(head), 1, 2);
    make_available(head);
  }
  void make_available(std::uint16_t head) {
    const auto index = take<std::uint16_t>(2 * kPage + 0x202);
    put<std::uint16_t>(2 * kPage + 0x204 + 2 * (index % 8U), head);
    put<std::uint16_t>(2 * kPage + 0x202, static_cast<std::uint16_t>(index + 1));
    ::eventfd_write(kick_.get(), 1);
  }
  static std::uint64_t status_of(std::uint16_t head) { return 4 * kPage + 16 + head; }
  std::uint16_t used() { return take<std::uint16_t>(2 * kPage + 0x402); }
  /// An entry of the ring of what is used: head and bytes.
  std::pair<std::uint32_t, std::uint32_t> used_at(unsigned index) {
    const std::uint64_t at = 2 * kPage + 0x404 + 8 * index;
    return {take<std::uint32_t>(at), take<std::uint32_t>(at + 4)};
  }

  test::VirtioHost host_;
  const Fd kick_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  const Fd call_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
};

TEST_F(VhostUser, ShowsWhatTheBackEndHasAndUnderstands) {
  const FakeBackEnd back_end;
  const auto disk = device(back_end);
  EXPECT_EQ(disk->type(), virtio::DeviceType::Block);
  EXPECT_EQ(disk->features(), virtio::kFeatureVersion1 | virtio::kFeatureEventIndex | std::uint64_t{1} << 12)
      << "neither the protocol's bits nor those of migration";
  EXPECT_EQ(disk->queues(), 2U) << "one a vCPU, of the four that it could have";
  std::vector<std::byte> config(36);
  disk->read_config(0, config);
  EXPECT_EQ(devices::load_le(config), 0x1234U);
  EXPECT_EQ(devices::load_le(std::span(config).subspan(34)), 2U) << "the queues that it has";
  EXPECT_EQ(pinned(), 0U) << "nothing before the driver wants it";
}

TEST_F(VhostUser, AFileSystemHasATagAndTwoQueues) {
  const FakeBackEnd back_end;
  const auto files = device(back_end, Kind::FileSystem);
  EXPECT_EQ(files->type(), virtio::DeviceType::FileSystem);
  EXPECT_EQ(files->queues(), 2U);
  std::vector<std::byte> config(48);
  files->read_config(0, config);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(config.data())), "music");
  EXPECT_EQ(devices::load_le(std::span(config).subspan(36, 4)), 1U);
  EXPECT_EQ(devices::load_le(std::span(config).subspan(40)), 0U) << "behind its end";
}

TEST_F(VhostUser, TheBackEndServesADriverInTheGuestsMemory) {
  const FakeBackEnd back_end;
  const auto disk = started(back_end);
  EXPECT_EQ(pinned(), kRamPages * kPage);
  EXPECT_EQ(space_->pins().at(0).owner, "vhost-user-blk0");
  ASSERT_EQ(back_end.regions().size(), 1U) << "an object's pages are given as they lie";
  EXPECT_EQ(back_end.regions()[0].bytes, kRamPages * kPage);
  EXPECT_EQ(back_end.features(), virtio::kFeatureVersion1 | kFeatureProtocol);
  ask();
  pollfd called{call_.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&called, 1, 60'000), 1) << "no interrupt";
  EXPECT_EQ(take<std::uint64_t>(5 * kPage), 0x0707'0707'0707'0707U);
  EXPECT_EQ(take<std::uint8_t>(4 * kPage + 16), 0U);
  EXPECT_EQ(take<std::uint16_t>(2 * kPage + 0x402), 1U);
  disk->stop();
  ASSERT_TRUE(eventually([&] { return host_.stops == 1; }));
  EXPECT_EQ(back_end.running(), 0U);
  EXPECT_EQ(pinned(), 0U);
  disk->start(activation());
  EXPECT_TRUE(eventually([&] { return back_end.running() == 1; })) << "again";
  EXPECT_EQ(host_.failures, 0);
}

TEST_F(VhostUser, PrivateMemoryMovesToWhereItCanBeShared) {
  const FakeBackEnd back_end;
  auto made = Device::create("vhost-user-blk0", {Kind::Block, back_end.path(), {}},
                             {*space_, {pages(0, kRamPages), pages(kRamPages, kRamPages)}, 1});
  ASSERT_TRUE(made) << made.error().text();
  ASSERT_TRUE((*made)->attach(host_));
  set_word(kRamPages + 1, 0x1122);
  (*made)->start(activation());
  ASSERT_TRUE(eventually([&] { return back_end.running() == 1; }));
  std::uint64_t bytes = 0;
  for (const Region& region : back_end.regions()) bytes += region.bytes;
  EXPECT_EQ(bytes, 2 * kRamPages * kPage);
  EXPECT_EQ(word(kRamPages + 1), 0x1122U);
  EXPECT_EQ(pinned(), 2 * kRamPages * kPage);
}

TEST_F(VhostUser, MemoryInTooManyPlacesIsRefusedAndTheBackEndKept) {
  const FakeBackEnd back_end;
  auto made = Device::create("vhost-user-blk0", {Kind::Block, back_end.path(), {}},
                             {*space_, {pages(0, kRamPages), pages(kRamPages, kRamPages)}, 1});
  ASSERT_TRUE(made) << made.error().text();
  ASSERT_TRUE((*made)->attach(host_));
  for (std::uint64_t page = 0; page < kRamPages; page += 2) set_word(kRamPages + page, 1);
  (*made)->start(activation());
  ASSERT_TRUE(eventually([&] { return host_.failures == 1; }));
  EXPECT_EQ(pinned(), 0U);
  (*made)->stop();
  EXPECT_TRUE(eventually([&] { return host_.stops == 1; }));
  EXPECT_EQ(back_end.requests().back(), Request::GetConfig) << "it was not asked to do anything";
}

TEST_F(VhostUser, ABackEndThatDiesLeavesNothingPinned) {
  FakeBackEnd back_end;
  const auto disk = started(back_end);
  back_end.die();
  ASSERT_TRUE(eventually([&] { return host_.failures == 1; }));
  EXPECT_TRUE(eventually([&] { return pinned() == 0; })) << "but for rings, while it looks at them";
  disk->stop();
  ASSERT_TRUE(eventually([&] { return host_.stops == 1; }));
  disk->start(activation());
  EXPECT_TRUE(eventually([&] { return host_.failures == 2; })) << "it stays lost";
  EXPECT_TRUE(eventually([&] { return pinned() == 0; })) << "but for rings, while it looks at them";
}

TEST_F(VhostUser, TheRequestsOfABackEndThatHasHungUpFail) {
  FakeBackEnd back_end(Fault::Swallows);
  const auto disk = started(back_end);
  ask();
  back_end.die();
  ASSERT_TRUE(eventually([&] { return used() == 1; })) << "what it had taken";
  EXPECT_EQ(take<std::uint8_t>(status_of(0)), 1U) << "an I/O error";
  ask(3);
  ASSERT_TRUE(eventually([&] { return used() == 2; })) << "what comes";
  EXPECT_EQ(take<std::uint8_t>(status_of(3)), 1U);
  EXPECT_EQ(used_at(1), std::pair(3U, 513U));
  EXPECT_TRUE(eventually([&] { return pinned() == 0; })) << "rings are pinned only while it answers";
  EXPECT_EQ(host_.failures, 1);
  disk->stop();
  ASSERT_TRUE(eventually([&] { return host_.stops == 1; }));
  ask();
  std::this_thread::sleep_for(kAWhile);
  EXPECT_EQ(used(), 2U) << "it is stopped";
  disk->start(activation());
  EXPECT_TRUE(eventually([&] { return used() == 3; })) << "what a driver finds that starts it anew";
}

TEST_F(VhostUser, ARequestThatWasOutFailsOnceItIsCertainWhich) {
  FakeBackEnd back_end(Fault::Swallows);
  const auto disk = started(back_end);
  ask(0);
  ask(3);
  put<std::uint32_t>(2 * kPage + 0x404, 3);  // the second came back first
  put<std::uint16_t>(2 * kPage + 0x402, 1);
  back_end.die();
  pollfd called{call_.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&called, 1, 60'000), 1) << "it has looked at the ring";
  EXPECT_EQ(used(), 1U);
  EXPECT_EQ(take<std::uint8_t>(status_of(0)), 0xffU);
  ask(3);
  ASSERT_TRUE(eventually([&] { return used() == 3; }));
  EXPECT_EQ(take<std::uint8_t>(status_of(0)), 1U);
  EXPECT_EQ(used_at(1).first, 3U);
  EXPECT_EQ(used_at(2).first, 0U);
}

TEST_F(VhostUser, AnAnswerWhoseInterruptWasNeverSentIsSeen) {
  FakeBackEnd back_end(Fault::Swallows);
  const auto disk = started(back_end);
  ask();
  put<std::uint16_t>(2 * kPage + 0x402, 1);
  pollfd called{call_.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&called, 1, 0), 0);
  back_end.die();
  EXPECT_EQ(::poll(&called, 1, 60'000), 1);
  EXPECT_EQ(used(), 1U);
}

TEST_F(VhostUser, NobodyAnswersForABackEndThatMayStillWrite) {
  FakeBackEnd back_end(Fault::Speaks);
  const auto disk = started(back_end);
  ask();
  ASSERT_TRUE(eventually([&] { return host_.failures == 1; }));
  ask(3);
  std::this_thread::sleep_for(kAWhile);
  EXPECT_EQ(used(), 0U);
}

TEST_F(VhostUser, AFileSystemWithoutItsBackEndSaysSo) {
  FakeBackEnd back_end(Fault::Swallows);
  const auto files = started(back_end, Kind::FileSystem);
  put<std::uint64_t>(4 * kPage + 8, 0x1234'5678'9abcU);  // the request's number
  put_descriptor(0, 4 * kPage, 40, 1);
  put_descriptor(1, 5 * kPage, 8, 3);  // the answer's room is in two parts
  put_descriptor(2, 6 * kPage, 100, 2);
  make_available(0);
  put_descriptor(3, 4 * kPage, 40, 0);
  make_available(3);
  back_end.die();
  ASSERT_TRUE(eventually([&] { return used() == 2; }));
  EXPECT_EQ(take<std::uint32_t>(5 * kPage), 16U);
  EXPECT_EQ(take<std::int32_t>(5 * kPage + 4), -EIO);
  EXPECT_EQ(take<std::uint64_t>(6 * kPage), 0x1234'5678'9abcU);
  EXPECT_EQ(used_at(0), std::pair(0U, 16U));
  EXPECT_EQ(used_at(1), std::pair(3U, 0U)) << "what wants no answer";
}

TEST_F(VhostUser, ARingOfNonsenseIsLeftAlone) {
  FakeBackEnd back_end(Fault::Swallows);
  const auto disk = started(back_end);
  put<std::uint16_t>(2 * kPage + 0x202, 1000);  // of eight
  back_end.die();
  ASSERT_TRUE(eventually([&] { return host_.failures == 1; }));
  EXPECT_EQ(used(), 0U);
  put<std::uint16_t>(2 * kPage + 0x202, 2000);
  ::eventfd_write(kick_.get(), 1);
  disk->stop();
  EXPECT_TRUE(eventually([&] { return host_.stops == 1; }));
  EXPECT_EQ(used(), 0U);
  EXPECT_EQ(pinned(), 0U);
}

TEST_F(VhostUser, ABackEndThatRefusesIsLost) {
  for (const Fault fault : {Fault::RefusesMemory, Fault::DiesAtMemory}) {
    host_.failures = 0;
    const FakeBackEnd back_end(fault);
    const auto disk = device(back_end);
    disk->start(activation());
    EXPECT_TRUE(eventually([&] { return host_.failures == 1; }));
    EXPECT_TRUE(eventually([&] { return pinned() == 0; }));
  }
}

TEST_F(VhostUser, NothingStaysOpenBehindADevice) {
  const auto open_files = [] {
    const auto all = std::filesystem::directory_iterator("/proc/self/fd");
    return std::distance(begin(all), end(all));
  };
  std::ptrdiff_t before = 0;
  for (int round = 0; round < 10; ++round) {
    FakeBackEnd back_end;
    const auto disk = device(back_end);
    disk->start(activation());
    ASSERT_TRUE(eventually([&] { return back_end.running() == 1; }));
    if (round == 0) before = open_files();
    EXPECT_EQ(open_files(), before) << "round " << round;
    if (round % 2 == 0) back_end.die();
  }
  EXPECT_EQ(pinned(), 0U);
}

TEST_F(VhostUser, WhatCannotWorkIsRefusedAtOnce) {
  const auto why = [this](Fault fault) {
    const FakeBackEnd back_end(fault);
    const auto made = connect(back_end.path());
    return made ? std::string("made") : made.error().text();
  };
  EXPECT_THAT(why(Fault::Legacy), HasSubstr("legacy"));
  EXPECT_THAT(why(Fault::NoConfig), HasSubstr("configuration"));
  EXPECT_THAT(why(Fault::ShortAnswer), HasSubstr("an answer of 4 bytes to request 1"));
  EXPECT_THAT(why(Fault::WrongAnswer), HasSubstr("message 99"));
  EXPECT_THAT(why(Fault::HugeAnswer), HasSubstr("4294967295 bytes"));
  EXPECT_THAT(why(Fault::HangsUpAtOnce), HasSubstr("has gone"));
  EXPECT_THAT(connect("/nonexistent/socket").error().text(),
              testing::AllOf(HasSubstr("vhost-user-blk0"), HasSubstr("/nonexistent/socket")));
  EXPECT_THAT(connect(std::string(200, 'x')).error().text(), HasSubstr("1 to 107 bytes"));
}

TEST_F(VhostUser, AsksInTheOrderOfTheProtocol) {
  const FakeBackEnd back_end;
  const auto disk = device(back_end);
  EXPECT_THAT(back_end.requests(),
              ElementsAre(Request::GetFeatures, Request::GetProtocolFeatures, Request::SetProtocolFeatures,
                          Request::GetQueueCount, Request::SetOwner, Request::GetConfig));
  const std::size_t before = back_end.requests().size();
  disk->start(activation());
  ASSERT_TRUE(eventually([&] { return back_end.running() == 1; }));
  auto requests = back_end.requests();
  requests.erase(requests.begin(), requests.begin() + static_cast<std::ptrdiff_t>(before));
  EXPECT_THAT(requests, ElementsAre(Request::SetFeatures, Request::SetMemoryTable, Request::SetQueueSize,
                                    Request::SetQueueBase, Request::SetQueueAddresses, Request::SetQueueCall,
                                    Request::SetQueueKick, Request::SetQueueEnable));
}

}  // namespace vhost_user_device_test
}  // namespace vmm::vhost_user

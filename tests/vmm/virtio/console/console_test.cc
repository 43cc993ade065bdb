// The virtio console: bytes each way, a host that does not read, a guest that does not, and copies in
// between.
#include "vmm/virtio/console/console.h"

#include <gtest/gtest.h>

#include "tests/support/eventually.h"
#include "tests/support/virtio_driver.h"
#include "tests/support/virtio_space.h"
#include "vmm/snapshot/section_fields.h"

namespace vmm::virtio::console {
namespace console_console_test {

using test::eventually;
using test::VirtioDriver;
using Part = VirtioDriver::Part;
constexpr auto kWriting = Part::For::Writing;

/// Takes so much and no more.
class Sink : public devices::ByteSink {
 public:
  std::size_t offer(std::span<const std::byte> bytes) override {
    const std::lock_guard lock(mutex_);
    const std::size_t taken = std::min(bytes.size(), room_);
    for (const std::byte byte : bytes.first(taken)) text_ += static_cast<char>(byte);
    room_ -= taken;
    return taken;
  }
  void give_room(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    room_ += bytes;
  }
  std::string text() {
    const std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  std::mutex mutex_;
  std::string text_;
  std::size_t room_ = std::size_t{1} << 20U;
};

class VirtioConsoleTest : public test::VirtioSpace {
 protected:
  VirtioConsoleTest() : test::VirtioSpace(kRamPages) {}

  struct Made {
    Console* console;
    std::unique_ptr<LocalDevice> device;
  };
  Made make(std::function<void()> on_input_space = {}) {
    auto service = std::make_unique<Console>(*space_, sink_);
    service->set_on_input_space(std::move(on_input_space));
    Console* const console = service.get();
    return {console, attached("console0", std::move(service))};
  }
  Activation activation() { return {kFeatureVersion1, {in_.queue(), out_.queue()}}; }
  std::size_t type(Console& console, std::string_view text) {
    return console.offer_input(std::as_bytes(std::span(text)));
  }
  void say(std::string_view text) {
    out_.put_bytes(kOut, text);
    out_.offer({{kOut, static_cast<std::uint32_t>(text.size())}});
    out_.notify();
  }

  static constexpr std::uint64_t kOut = 8 * kPage;
  static constexpr std::uint64_t kIn = 10 * kPage;
  Sink sink_;
  VirtioDriver in_{*space_, 0, 8, 0};
  VirtioDriver out_{*space_, 3 * kPage, 8, 1};
};

TEST_F(VirtioConsoleTest, WhatTheGuestSaysComesOut) {
  auto [console, device] = make();
  device->start(activation());
  out_.put_bytes(kOut, "one two three");
  out_.offer({{kOut, 4}, {kOut + 4, 0}, {kOut + 4, 9}});
  out_.notify();
  EXPECT_EQ(out_.wait_used(), (VirtioDriver::Used{0, 0}));
  EXPECT_EQ(sink_.text(), "one two three");
  EXPECT_TRUE(console->flush());
}

TEST_F(VirtioConsoleTest, WhatIsTypedArrivesAsThereAreBuffers) {
  auto [console, device] = make();
  EXPECT_EQ(type(*console, "before it was there "), 20U);
  device->start(activation());
  in_.offer({{kIn, 6, kWriting}, {kIn + 100, 3, kWriting}});
  in_.notify();
  EXPECT_EQ(in_.wait_used(), (VirtioDriver::Used{0, 9}));
  EXPECT_EQ(in_.get_bytes(kIn, 6), "before");
  EXPECT_EQ(in_.get_bytes(kIn + 100, 3), " it");
  in_.offer({{kIn, 100, kWriting}});
  in_.notify();
  EXPECT_EQ(in_.wait_used(), (VirtioDriver::Used{2, 11}));
  in_.offer({{kIn, 100, kWriting}});
  in_.notify();
  EXPECT_EQ(type(*console, "x"), 1U);
  EXPECT_EQ(in_.wait_used(), (VirtioDriver::Used{3, 1})) << "a buffer that waited";
}

TEST_F(VirtioConsoleTest, AHostThatDoesNotReadHoldsTheGuestUpAndLosesNothing) {
  auto [console, device] = make();
  sink_.give_room(0 - (std::size_t{1} << 20U));  // none
  device->start(activation());
  say("abcdefgh");
  say("abcdefgh");
  EXPECT_FALSE(console->flush());
  sink_.give_room(3);
  EXPECT_FALSE(console->flush());
  EXPECT_EQ(sink_.text(), "abc");
  EXPECT_FALSE(out_.used()) << "not written to its end";
  sink_.give_room(100);
  console->sink_ready();
  EXPECT_EQ(out_.wait_used(), (VirtioDriver::Used{0, 0}));
  EXPECT_EQ(out_.wait_used(), (VirtioDriver::Used{1, 0}));
  EXPECT_EQ(sink_.text(), "abcdefghabcdefgh");
}

TEST_F(VirtioConsoleTest, ACopyGoesOnInTheMiddleOfALine) {
  auto [console, device] = make();
  sink_.give_room(3 - (std::size_t{1} << 20U));
  device->start(activation());
  say("abcdefgh");
  EXPECT_FALSE(console->flush());
  device->rest();
  EXPECT_EQ(pinned(), 0U);
  snapshot::SectionWriter writer;
  test::DeviceSection first(*device);
  snapshot::save(writer, first);
  const auto state = std::move(writer).finish();
  device.reset();

  auto [other, second] = make();
  second->rest();
  second->place(activation());
  test::DeviceSection section(*second);
  const auto table = snapshot::SectionTable::read(state);
  ASSERT_TRUE(table);
  ASSERT_TRUE(snapshot::restore(*table, section));
  sink_.give_room(100);
  second->go_on();
  EXPECT_EQ(out_.wait_used(), (VirtioDriver::Used{0, 0}));
  EXPECT_EQ(sink_.text(), "abcdefgh");
  EXPECT_TRUE(other->flush());
}

TEST_F(VirtioConsoleTest, KeysThatTheGuestDoesNotReadAreRefusedAndToldOfLater) {
  std::atomic<int> spaces = 0;
  auto [console, device] = make([&] { ++spaces; });
  const std::string much(Console::kInputBytes + 10, 'k');
  EXPECT_EQ(type(*console, much), Console::kInputBytes);
  EXPECT_EQ(type(*console, "x"), 0U);
  device->start(activation());
  in_.offer({{kIn, 1000, kWriting}});
  in_.notify();
  ASSERT_TRUE(in_.wait_used());
  EXPECT_EQ(spaces, 0);
  in_.offer({{kIn, 4096, kWriting}});
  in_.notify();
  ASSERT_TRUE(in_.wait_used());
  EXPECT_TRUE(eventually([&] { return spaces == 1; }));
  EXPECT_EQ(type(*console, "x"), 1U);
}

TEST_F(VirtioConsoleTest, ItsSizeIsTold) {
  auto [console, device] = make();
  console->set_size({80, 25});
  console->set_size({80, 25});
  EXPECT_EQ(host_.changes, 1);
  std::array<std::byte, 16> config{};
  device->read_config(0, config);
  EXPECT_EQ(config[0], std::byte{80});
  EXPECT_EQ(config[2], std::byte{25});
  EXPECT_EQ(config[4], std::byte{1}) << "port";
  EXPECT_EQ(config[15], std::byte{0});
}

TEST_F(VirtioConsoleTest, AFloodLeavesRoomForRest) {
  auto [console, device] = make();
  device->start(activation());
  // The ring's index goes round as fast as a guest could ever make it.
  std::atomic<bool> over = false;
  std::thread guest([&] {
    while (!over) {
      say("spam");
      while (!over && !out_.used()) {
      }
    }
  });
  for (int i = 0; i < 20; ++i) {
    device->rest();
    EXPECT_EQ(pinned(), 0U);
    device->go_on();
  }
  over = true;
  guest.join();
  EXPECT_EQ(host_.failures, 0);
}

TEST_F(VirtioConsoleTest, WrongChainsAreNothingOrBreakTheRing) {
  auto [console, device] = make();
  device->start(activation());
  out_.offer({{kOut, 16, kWriting}});  // nothing to read
  out_.notify();
  EXPECT_EQ(out_.wait_used(), (VirtioDriver::Used{0, 0}));
  in_.offer({{kIn, 16}});  // no room
  in_.notify();
  EXPECT_EQ(type(*console, "x"), 1U);
  EXPECT_EQ(in_.wait_used(), (VirtioDriver::Used{0, 0}));
  EXPECT_EQ(sink_.text(), "");
  EXPECT_EQ(host_.failures, 0);
  out_.offer({{64 * kPage, 4}});
  out_.notify();
  EXPECT_TRUE(eventually([&] { return host_.failures == 1; }));
}

}  // namespace console_console_test
}  // namespace vmm::virtio::console

#include "vmm/devices/serial.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "tests/vmm/devices/fakes.h"

namespace vmm::devices {
namespace serial_test {

using test::bytes;
using test::read;
using test::write;

constexpr std::uint64_t kData = 0, kIer = 1, kIir = 2, kFcr = 2, kLcr = 3, kMcr = 4, kLsr = 5, kMsr = 6,
                        kScr = 7;
constexpr SerialOptions kNoWait{.input_capacity = 64, .poll_wait = {}, .write_wait = {}};

struct SerialTest : testing::Test {
  test::FakeLine irq;
  test::FakeSink sink;
  Serial serial{irq, sink, kNoWait};

  void send(std::string_view text) {
    for (const char c : text) write(serial, kData, static_cast<std::uint8_t>(c));
  }
  std::string receive() {
    std::string text;
    while ((read(serial, kLsr) & 1) != 0) text.push_back(static_cast<char>(read(serial, kData)));
    return text;
  }
};

// The steps of Linux' autoconfig() and autoconfig_16550a(), in its order.
TEST_F(SerialTest, LinuxFindsA16550A) {
  write(serial, kIer, 0);
  EXPECT_EQ(read(serial, kIer) & 0x0f, 0U);
  write(serial, kIer, 0x0f);
  EXPECT_EQ(read(serial, kIer) & 0x0f, 0x0fU);
  write(serial, kIer, 0);

  write(serial, kMcr, 0x10 | 0x0a);
  EXPECT_EQ(read(serial, kMsr) & 0xf0, 0x90U) << "loopback: carrier and CTS";
  write(serial, kMcr, 0);
  EXPECT_EQ(read(serial, kMsr) & 0xf0, 0xb0U);

  write(serial, kLcr, 0xbf);
  write(serial, kFcr, 0);
  write(serial, kLcr, 0);
  write(serial, kFcr, 1);
  EXPECT_EQ(read(serial, kIir) >> 6, 3U) << "FIFOs that work";

  write(serial, kLcr, 0x80);
  EXPECT_NE(read(serial, kIir), 0U) << "else a 16650";
  write(serial, kLcr, 0xbf);
  EXPECT_NE(read(serial, kIir), 0U) << "else a 16850";
  write(serial, kLcr, 0);
  write(serial, kFcr, 0x21);
  EXPECT_EQ(read(serial, kIir) >> 5, 6U) << "else a 16750";
  write(serial, kIer, 0x40);
  EXPECT_EQ(read(serial, kIer) & 0x40, 0U) << "else an XScale";
}

TEST_F(SerialTest, LinuxMeasuresAFifoOf16) {
  write(serial, kFcr, 0x07);
  write(serial, kMcr, 0x10);
  for (int i = 0; i < 256; ++i) write(serial, kData, static_cast<std::uint8_t>(i));
  EXPECT_EQ(read(serial, kLsr) & 0x03, 0x03U) << "data, and an overrun";
  EXPECT_EQ(read(serial, kLsr) & 0x02, 0U) << "reading clears the overrun";
  int count = 0;
  for (; (read(serial, kLsr) & 1) != 0; ++count) EXPECT_EQ(read(serial, kData), static_cast<unsigned>(count));
  EXPECT_EQ(count, 16);
  EXPECT_EQ(sink.text, "") << "loopback stays inside";
}

TEST_F(SerialTest, ScratchAndDivisorAreStored) {
  write(serial, kScr, 0xa5);
  EXPECT_EQ(read(serial, kScr), 0xa5U);
  write(serial, kLcr, 0x83);
  write(serial, kData, 0x1234, 2);
  EXPECT_EQ(read(serial, kData, 2), 0x1234U);
  write(serial, kLcr, 0x03);
  EXPECT_EQ(read(serial, kIer), 0U);
  EXPECT_EQ(sink.text, "");
}

TEST_F(SerialTest, OutputGoesThroughAtOnce) {
  send("hello");
  EXPECT_EQ(sink.text, "hello");
  EXPECT_EQ(read(serial, kLsr), 0x60U);
  EXPECT_TRUE(serial.output_idle());
  EXPECT_EQ(serial.counters().output_bytes, 5U);
}

TEST_F(SerialTest, TransmitInterruptFollowsTheTransmitter) {
  EXPECT_FALSE(irq.up());
  write(serial, kIer, 0x02);
  EXPECT_TRUE(irq.up()) << "enabling it with an empty transmitter raises it";
  EXPECT_EQ(read(serial, kIir) & 0x0f, 0x02U);
  EXPECT_FALSE(irq.up()) << "reading IIR acknowledges it";
  EXPECT_EQ(read(serial, kIir) & 0x0f, 0x01U);
  send("x");
  EXPECT_TRUE(irq.up()) << "and the byte has left already";
  write(serial, kIer, 0);
  EXPECT_FALSE(irq.up());
  read(serial, kIir);
  write(serial, kIer, 0x02);
  EXPECT_TRUE(irq.up()) << "Linux' test for a broken THRE";
  EXPECT_EQ(irq.edges, 3);
}

TEST_F(SerialTest, AFullSinkHoldsTheTransmitter) {
  sink.room = 3;
  write(serial, kIer, 0x02);
  read(serial, kIir);
  send("abcdef");
  EXPECT_EQ(sink.text, "abc");
  EXPECT_EQ(read(serial, kLsr) & 0x60, 0U);
  EXPECT_FALSE(irq.up());
  EXPECT_FALSE(serial.output_idle());
  sink.room = 2;
  serial.sink_ready();
  EXPECT_EQ(sink.text, "abcde");
  EXPECT_FALSE(irq.up()) << "one byte is still here";
  sink.room = SIZE_MAX;
  serial.sink_ready();
  EXPECT_EQ(sink.text, "abcdef");
  EXPECT_EQ(read(serial, kLsr) & 0x60, 0x60U);
  EXPECT_TRUE(irq.up());
  serial.sink_ready();
  EXPECT_EQ(sink.text, "abcdef");
}

TEST_F(SerialTest, ClearingTheFifosLosesNothing) {
  sink.room = 0;
  send("kept");
  ASSERT_EQ(serial.offer_input(bytes("typed")), 5U);
  write(serial, kFcr, 0x07);
  sink.room = SIZE_MAX;
  serial.sink_ready();
  EXPECT_EQ(sink.text, "kept");
  write(serial, kIer, 0x01);
  EXPECT_EQ(receive(), "typed");
}

TEST_F(SerialTest, AFloodIntoAFullFifoIsCountedNotKept) {
  sink.room = 0;
  for (int i = 0; i < 1000; ++i) write(serial, kData, static_cast<std::uint8_t>(i));
  EXPECT_EQ(serial.counters().output_lost, 1000U - Serial::kFifoBytes);
  sink.room = SIZE_MAX;
  serial.sink_ready();
  ASSERT_EQ(sink.text.size(), Serial::kFifoBytes);
  EXPECT_EQ(sink.text[15], 15) << "the first ones survive";
}

TEST_F(SerialTest, ReceiveInterruptAndTriggerLevels) {
  write(serial, kFcr, 0x81);  // trigger at 8
  write(serial, kIer, 0x01);
  ASSERT_EQ(serial.offer_input(bytes("1234567")), 7U);
  EXPECT_TRUE(irq.up());
  EXPECT_EQ(read(serial, kIir) & 0x0f, 0x0cU) << "fewer than 8: time-out";
  ASSERT_EQ(serial.offer_input(bytes("8")), 1U);
  EXPECT_EQ(read(serial, kIir) & 0x0f, 0x04U);
  EXPECT_TRUE(irq.up()) << "reading IIR does not acknowledge it";
  EXPECT_EQ(receive(), "12345678");
  EXPECT_FALSE(irq.up());
  EXPECT_EQ(serial.counters().input_bytes, 8U);
}

TEST_F(SerialTest, LineStatusComesBeforeDataBeforeTransmit) {
  write(serial, kMcr, 0x10);
  write(serial, kIer, 0x0f);
  for (int i = 0; i < 17; ++i) send("x");
  EXPECT_EQ(read(serial, kIir) & 0x0f, 0x06U);
  read(serial, kLsr);
  EXPECT_EQ(read(serial, kIir) & 0x0f, 0x04U);
  receive();
  EXPECT_EQ(read(serial, kIir) & 0x0f, 0x02U);
  EXPECT_EQ(read(serial, kIir) & 0x0f, 0x00U) << "the modem lines have moved";
  read(serial, kMsr);
  EXPECT_EQ(read(serial, kIir) & 0x0f, 0x01U);
  EXPECT_FALSE(irq.up());
}

TEST_F(SerialTest, InputWaitsUntilADriverListens) {
  ASSERT_EQ(serial.offer_input(bytes("login\n")), 6U);
  // serial8250_do_startup(): clear the FIFOs, then read everything once, with interrupts off.
  for (const unsigned fcr : {1U, 7U, 0U}) write(serial, kFcr, fcr);
  for (int i = 0; i < 3; ++i) {
    for (const std::uint64_t offset : {kLsr, kData, kIir, kMsr}) read(serial, offset);
  }
  write(serial, kIer, 0x05);
  EXPECT_TRUE(irq.up());
  EXPECT_EQ(receive(), "login\n");
}

TEST_F(SerialTest, InputShowsToAGuestThatOnlyPolls) {
  ASSERT_EQ(serial.offer_input(bytes("abc")), 3U);
  unsigned polls = 0;
  while ((read(serial, kLsr) & 1) == 0 && polls < 100) ++polls;
  EXPECT_LE(polls, Serial::kPollsToListen);
  EXPECT_EQ(receive(), "abc");
  EXPECT_FALSE(irq.up());
}

TEST_F(SerialTest, InputIsBoundedAndSaysWhenThereIsRoom) {
  int told = 0;
  serial.set_on_input_space([&] { ++told; });
  const std::string flood(100, 'x');
  EXPECT_EQ(serial.offer_input(bytes(flood)), 64U);
  EXPECT_EQ(serial.offer_input(bytes(flood)), 0U);
  write(serial, kIer, 0x01);
  for (int i = 0; i < 31; ++i) read(serial, kData);
  EXPECT_EQ(told, 0);
  read(serial, kData);
  EXPECT_EQ(told, 1) << "at half";
  receive();
  EXPECT_EQ(told, 1) << "once";
}

TEST_F(SerialTest, ResetKeepsWhatIsOnTheWire) {
  write(serial, kIer, 0x01);
  write(serial, kScr, 1);
  ASSERT_EQ(serial.offer_input(bytes("in")), 2U);
  EXPECT_TRUE(irq.up());
  serial.reset();
  EXPECT_FALSE(irq.up());
  EXPECT_EQ(read(serial, kScr), 0U);
  write(serial, kIer, 0x01);
  EXPECT_EQ(receive(), "in");
}

/// Refuses now and then, and calls back from another thread: the race between "full" and "room again".
TEST(SerialThreads, NothingIsLostBetweenAFullSinkAndRoomAgain) {
  class SlowSink : public ByteSink {
   public:
    std::size_t offer(std::span<const std::byte> data) override {
      std::lock_guard lock(mutex);
      std::size_t taken = 0;
      for (; taken < data.size() && room > 0; ++taken, --room) text.push_back(static_cast<char>(data[taken]));
      return taken;
    }
    std::mutex mutex;
    std::string text;
    std::size_t room = 0;
  } sink;
  test::FakeLine irq;
  Serial serial(irq, sink, {.write_wait = std::chrono::seconds(60)});
  std::atomic<bool> done{false};
  std::thread io([&] {
    while (!done) {
      {
        std::lock_guard lock(sink.mutex);
        sink.room += 7;
      }
      serial.sink_ready();
    }
  });
  std::string expected;
  for (int i = 0; i < 20'000; ++i) {
    const char c = static_cast<char>('a' + i % 26);
    expected.push_back(c);
    write(serial, kData, static_cast<std::uint8_t>(c));  // without a look at LSR: the write waits
  }
  while (!serial.output_idle()) std::this_thread::yield();
  done = true;
  io.join();
  EXPECT_EQ(sink.text, expected);
  EXPECT_EQ(serial.counters().output_lost, 0U);
}

// An edge-triggered interrupt, and a handler that works as Linux' does: until IIR says "nothing".
TEST(SerialThreads, EveryInputByteArrivesByEdgesAlone) {
  class Edge : public IrqLine {
   public:
    void set_level(Level next) override {
      if (next == Level::High && level == Level::Low) pending = true;
      level = next;
    }
    Level level = Level::Low;
    std::atomic<bool> pending{false};
  } irq;
  test::FakeSink sink;
  Serial serial(irq, sink, {.input_capacity = 32});
  write(serial, kFcr, 0x01);
  write(serial, kIer, 0x01);
  constexpr std::size_t kBytes = 10'000;
  std::thread host([&] {
    std::size_t sent = 0;
    while (sent < kBytes) {
      const std::byte byte{static_cast<std::uint8_t>(sent)};
      if (serial.offer_input(std::span(&byte, 1)) == 0) {
        std::this_thread::yield();
      } else {
        ++sent;
      }
    }
  });
  std::size_t received = 0;
  bool in_order = true;
  while (received < kBytes) {
    if (!irq.pending.exchange(false)) {
      std::this_thread::yield();
      continue;
    }
    while ((read(serial, kIir) & 1) == 0) {
      while ((read(serial, kLsr) & 1) != 0) in_order &= read(serial, kData) == (received++ & 0xff);
    }
  }
  host.join();
  EXPECT_TRUE(in_order);
  EXPECT_EQ(received, kBytes);
}

}  // namespace serial_test
}  // namespace vmm::devices

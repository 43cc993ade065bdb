#include "vmm/machine/console.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <string>
#include <thread>

#include "tests/vmm/devices/fakes.h"
#include "tests/vmm/machine/pty.h"
#include "vmm/devices/serial.h"
#include "vmm/machine/console_keys.h"

namespace vmm {
namespace machine_console_test {

using devices::test::bytes;
using test::Pty;
using test::same_modes;
using namespace std::chrono_literals;

std::string text_of(std::span<const std::byte> data) {
  std::string text;
  for (const std::byte byte : data) text.push_back(static_cast<char>(byte));
  return text;
}

std::string pattern(std::size_t size) {
  std::string text(size, ' ');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('!' + i % 90);
  return text;
}

struct Pipe {
  Pipe() { EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0); }
  ~Pipe() {
    close_reader();
    close_writer();
  }
  void close_reader() { close_end(ends[0]); }
  void close_writer() { close_end(ends[1]); }
  static void close_end(int& fd) {
    if (fd >= 0) close(fd);
    fd = -1;
  }
  /// What is there now.
  std::string take() const {
    std::array<char, 65536> buffer{};
    int available = 0;
    ioctl(ends[0], FIONREAD, &available);
    if (available == 0) return {};
    const ssize_t count = read(ends[0], buffer.data(), buffer.size());
    return count > 0 ? std::string(buffer.data(), static_cast<std::size_t>(count)) : std::string();
  }
  std::array<int, 2> ends{-1, -1};
};

struct ConsoleTest : testing::Test {
  void open_console(int input_fd, int output_fd) {
    auto made = Console::create(io, {.input_fd = input_fd, .output_fd = output_fd});
    ASSERT_TRUE(made) << made.error().text();
    console = std::move(*made);
    console->start({.input =
                        [this](std::span<const std::byte> data) {
                          const std::size_t taken = std::min(data.size(), guest_room);
                          guest_room -= taken;
                          received += text_of(data.first(taken));
                          return taken;
                        },
                    .output_space = [this] { ++output_spaces; },
                    .leave = [this] { ++leaves; },
                    .output_closed = [this](const uvm::Error& error) { closed = error.text(); }});
  }
  /// Lets the console work until `done`; false when that takes absurdly long.
  template <class Done>
  bool run_until(Done done) {
    for (int i = 0; i < 3000 && !done(); ++i) {
      io.restart();
      io.run_one_for(10ms);
    }
    return done();
  }
  void settle() {
    io.restart();
    while (io.run_one_for(50ms) != 0) {
    }
  }

  boost::asio::io_context io;
  std::unique_ptr<Console> console;
  std::string received;
  std::size_t guest_room = SIZE_MAX;
  int output_spaces = 0;
  int leaves = 0;
  std::string closed;
};

TEST(ConsoleKeys, CommandsAcrossReads) {
  ConsoleKeys keys;
  EXPECT_EQ(text_of(keys.feed(bytes("ab\x01")).bytes), "ab");
  const auto help = keys.feed(bytes("hcd"));
  EXPECT_EQ(text_of(help.bytes), "cd");
  EXPECT_EQ(help.commands, std::vector{ConsoleCommand::Help});
  EXPECT_EQ(text_of(keys.feed(bytes("\x01\x01")).bytes), "\x01");
  EXPECT_EQ(text_of(keys.feed(bytes("\x01z")).bytes), "\x01z");
  const auto leave = keys.feed(bytes("1\x01xrest"));
  EXPECT_EQ(text_of(leave.bytes), "1");
  EXPECT_EQ(leave.commands, std::vector{ConsoleCommand::Leave});
}

TEST_F(ConsoleTest, ATerminalIsRawWhileTheConsoleLives) {
  const Pty pty;
  const Pipe out;
  const termios before = pty.modes();
  open_console(pty.slave(), out.ends[1]);
  EXPECT_TRUE(console->is_terminal());
  EXPECT_TRUE(pty.is_raw());
  ASSERT_TRUE(pty.type("ls\r\x03\x1a"));
  EXPECT_TRUE(run_until([&] { return received == "ls\r\x03\x1a"; })) << "Ctrl-C and Ctrl-Z are the guest's";
  console->stop();
  EXPECT_TRUE(same_modes(pty.modes(), before));
  console->stop();
  console.reset();
  EXPECT_TRUE(same_modes(pty.modes(), before));
  EXPECT_EQ(fcntl(pty.slave(), F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(ConsoleTest, HelpAndLeave) {
  const Pty pty;
  const Pipe out;
  open_console(pty.slave(), out.ends[1]);
  ASSERT_TRUE(
      pty.type("a\x01h\x01\x01"
               "b\x01x"));
  EXPECT_TRUE(run_until([&] { return leaves == 1; }));
  EXPECT_TRUE(run_until([&] {
    return received ==
           "a\x01"
           "b";
  }));
  EXPECT_TRUE(console->drain(10s));
  EXPECT_NE(out.take().find("Ctrl-A x"), std::string::npos);
}

TEST_F(ConsoleTest, OneCanLeaveWhileTheGuestTakesNoKeys) {
  const Pty pty;
  const Pipe out;
  guest_room = 10;
  open_console(pty.slave(), out.ends[1]);
  const std::string keys = pattern(3000);
  for (int i = 0; i < 27; ++i) {
    ASSERT_TRUE(pty.type(keys));
    settle();
  }
  ASSERT_TRUE(pty.type("\x01x"));
  EXPECT_TRUE(run_until([&] { return leaves == 1; }));
  EXPECT_EQ(received.size(), 10U);
  EXPECT_EQ(console->input_dropped(), 81'000U - 10U - Console::kInputBytes);
}

TEST_F(ConsoleTest, APipeIsPassedAsItIsWithBackPressureToItsEnd) {
  Pipe in;
  const Pipe out;
  const std::string script = "\x01x" + pattern(200'000);
  std::thread writer([&] {
    EXPECT_EQ(write(in.ends[1], script.data(), script.size()), static_cast<ssize_t>(script.size()));
    in.close_writer();
  });
  guest_room = 100;
  open_console(in.ends[0], out.ends[1]);
  EXPECT_FALSE(console->is_terminal());
  settle();
  EXPECT_EQ(received.size(), 100U);
  while (received.size() < script.size()) {
    guest_room = 1000;
    console->input_space();
    const std::size_t want = std::min(script.size(), received.size() + 1000);
    ASSERT_TRUE(run_until([&] { return received.size() >= want; }));
  }
  writer.join();
  settle();
  EXPECT_EQ(received, script);
  EXPECT_EQ(leaves, 0) << "no commands in a pipe";
  EXPECT_EQ(fcntl(in.ends[0], F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(console->offer(bytes("still writes")), 12U);
  EXPECT_TRUE(console->drain(10s));
  EXPECT_EQ(out.take(), "still writes");
}

TEST_F(ConsoleTest, StdinMayBeAFileOrNothing) {
  const Pipe out;
  char name[] = "/tmp/console_testXXXXXX";
  const int file = mkostemp(name, O_CLOEXEC);
  unlink(name);
  const std::string content = pattern(10'000);
  ASSERT_EQ(write(file, content.data(), content.size()), 10'000);
  lseek(file, 5000, SEEK_SET);
  open_console(file, out.ends[1]);
  EXPECT_TRUE(run_until([&] { return received.size() == 5000; }));
  EXPECT_EQ(received, content.substr(5000)) << "from where the file stood";
  console.reset();
  EXPECT_EQ(fcntl(file, F_GETFL) & O_NONBLOCK, 0);
  close(file);

  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  open_console(null, out.ends[1]);
  settle();
  console.reset();
  close(null);
  open_console(-1, -1);
  settle();
  EXPECT_EQ(console->offer(bytes("nobody")), 6U);
  EXPECT_EQ(console->output_dropped(), 6U);
}

TEST_F(ConsoleTest, AReaderThatStopsHoldsTheOutputAndLosesNothing) {
  const Pipe in;
  const Pipe out;
  open_console(in.ends[0], out.ends[1]);
  const std::string text = pattern(400'000);
  std::size_t offered = 0;
  const auto push = [&] {
    for (std::size_t n = 1; n != 0; offered += n) n = console->offer(bytes(text).subspan(offered));
  };
  push();
  EXPECT_EQ(offered, Console::kOutputBytes) << "bounded";
  settle();
  push();
  settle();
  push();
  EXPECT_LE(offered, Console::kOutputBytes + 65536) << "and what a pipe holds";
  const int spaces = output_spaces;
  settle();
  EXPECT_EQ(output_spaces, spaces) << "nobody reads: no room";
  std::string seen;
  while (seen.size() < text.size()) {
    seen += out.take();
    io.restart();
    io.run_one_for(1ms);
    push();
    ASSERT_EQ(closed, "");
  }
  EXPECT_EQ(seen, text);
  EXPECT_GT(output_spaces, spaces);
  EXPECT_EQ(fcntl(out.ends[1], F_GETFL) & O_NONBLOCK, 0) << "a log that shares stdout is not disturbed";
}

TEST_F(ConsoleTest, ALateReaderStillGetsAllThatTheGuestWrote) {
  const Pipe in;
  const Pipe out;
  devices::test::FakeLine irq;
  auto made = Console::create(io, {.input_fd = in.ends[0], .output_fd = out.ends[1]});
  ASSERT_TRUE(made);
  console = std::move(*made);
  devices::Serial serial(irq, *console, {.poll_wait = 0us, .write_wait = 0us});
  console->start({.output_space = [&] { serial.sink_ready(); }});
  std::string written;
  for (std::size_t i = 0; serial.counters().output_lost == 0; ++i) {
    if (i % 40'000 == 39'999) settle();
    const char c = static_cast<char>('a' + i % 26);
    devices::test::write(serial, 0, static_cast<std::uint8_t>(c));
    if (serial.counters().output_lost == 0) written.push_back(c);
  }
  EXPECT_FALSE(serial.output_idle());
  EXPECT_FALSE(console->drain(20ms)) << "nobody reads";
  std::string seen;
  std::atomic<bool> drained{false};
  std::thread reader([&] {
    while (true) {
      const bool last = drained;
      const std::string more = out.take();
      seen += more;
      if (more.empty() && last) return;
      if (more.empty()) std::this_thread::yield();
    }
  });
  EXPECT_TRUE(console->drain(std::chrono::milliseconds::max()));
  drained = true;
  reader.join();
  EXPECT_TRUE(serial.output_idle());
  EXPECT_EQ(seen, written);
}

TEST_F(ConsoleTest, AStdoutThatHasGoneIsSaidOnceAndStallsNobody) {
  const Pipe in;
  Pipe out;
  open_console(in.ends[0], out.ends[1]);
  out.close_reader();
  const std::string text = pattern(200'000);
  std::size_t offered = console->offer(bytes(text));
  EXPECT_TRUE(run_until([&] { return !closed.empty(); }));
  EXPECT_NE(closed.find("stdout"), std::string::npos);
  EXPECT_EQ(output_spaces, 1) << "whoever was refused may go on";
  offered += console->offer(bytes(text).subspan(offered));
  EXPECT_EQ(offered, text.size());
  EXPECT_EQ(console->output_dropped(), text.size());
  EXPECT_TRUE(console->drain(10s));
}

TEST_F(ConsoleTest, AFullDiskClosesTheOutput) {
  const Pipe in;
  const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(full, 0);
  open_console(in.ends[0], full);
  console->offer(bytes("x"));
  EXPECT_TRUE(run_until([&] { return !closed.empty(); }));
  close(full);
}

TEST_F(ConsoleTest, ASocketGetsItsFlagsBack) {
  std::array<int, 2> pair{};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()), 0);
  open_console(pair[0], pair[0]);
  ASSERT_EQ(write(pair[1], "in", 2), 2);
  EXPECT_TRUE(run_until([&] { return received == "in"; }));
  console->offer(bytes("out"));
  EXPECT_TRUE(console->drain(10s));
  std::array<char, 8> buffer{};
  EXPECT_EQ(read(pair[1], buffer.data(), buffer.size()), 3);
  console.reset();
  EXPECT_EQ(fcntl(pair[0], F_GETFL) & O_NONBLOCK, 0);
  close(pair[0]);
  close(pair[1]);
}

/// A child of its own session, whose terminal is the pty; leaves with 5 on Ctrl-A x.
pid_t start_child(const Pty& pty) {
  const pid_t child = fork();
  if (child != 0) return child;
  setsid();
  ioctl(pty.slave(), TIOCSCTTY, 0);
  boost::asio::io_context io;
  auto console = Console::create(io, {.input_fd = pty.slave(), .output_fd = pty.slave()});
  if (!console) _exit(99);
  (*console)->start(
      {.input = [](std::span<const std::byte> data) { return data.size(); }, .leave = [&io] { io.stop(); }});
  io.run();
  console->reset();
  _exit(5);
}

TEST(ConsoleJobControl, StopGivesTheTerminalBackAndContinueTakesIt) {
  const Pty pty;
  const termios before = pty.modes();
  const pid_t child = start_child(pty);
  ASSERT_GT(child, 0);
  const auto becomes_raw = [&] {
    for (int i = 0; i < 1000 && !pty.is_raw(); ++i) std::this_thread::sleep_for(10ms);
    return pty.is_raw();
  };
  ASSERT_TRUE(becomes_raw());
  // Ctrl-A h is answered by a child that is past all its preparations.
  ASSERT_TRUE(pty.type("\x01h"));
  std::array<char, 256> answer{};
  ASSERT_GT(read(pty.master(), answer.data(), answer.size()), 0);
  int status = 0;
  kill(child, SIGTSTP);
  ASSERT_EQ(waitpid(child, &status, WUNTRACED), child);
  ASSERT_TRUE(WIFSTOPPED(status));
  EXPECT_TRUE(same_modes(pty.modes(), before));
  kill(child, SIGCONT);
  const bool raw_again = becomes_raw();
  EXPECT_TRUE(raw_again);
  if (!raw_again) kill(child, SIGKILL);  // it would wait for a key that is never sent on
  ASSERT_TRUE(pty.type("\x01x"));
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 5) << std::hex << status;
  EXPECT_TRUE(same_modes(pty.modes(), before));
}

}  // namespace machine_console_test
}  // namespace vmm

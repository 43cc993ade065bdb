// The guest's serial line on stdin and stdout.
//
// On a terminal: raw mode (terminal.h), and Ctrl-A begins a command: x leaves, Ctrl-A sends one Ctrl-A, h
// prints the commands; any other key goes to the guest together with the Ctrl-A. Keys are read even while the
// guest takes none, so that one can always leave; beyond kInputBytes of them new ones are dropped.
// Otherwise: bytes as they are, nothing is read before there is room for it. The end of stdin is just that.
//
// Output waits in a buffer of kOutputBytes; when it is full, offer() takes less and on_output_space follows.
// When nobody reads any more (EPIPE, a hung-up terminal) output is thrown away, so that the guest does not
// stall, and on_output_closed says it once.
//
// File descriptors. Asio needs O_NONBLOCK, which belongs to the open file and so to everybody who shares it:
// the shell, or a log on stderr. So a terminal or pipe is opened a second time (/proc/self/fd); where that is
// not possible (sockets) the flags are put back at the end.
//
// Threads. offer() and the counters: any. Everything else, callbacks included: the one that runs the
// io_context. SIGPIPE is ignored in the whole process from construction on.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "uvm/base/error.h"
#include "vmm/devices/interfaces.h"

namespace boost::asio {
class io_context;
}

namespace vmm {

class Console final : public devices::ByteSink {
 public:
  static constexpr std::size_t kOutputBytes = 64 * 1024;
  static constexpr std::size_t kInputBytes = 64 * 1024;

  struct Options {
    int input_fd = 0;
    int output_fd = 1;
  };
  struct Callbacks {
    /// Gives typed bytes to the guest; returns how many it took. Serial::offer_input.
    std::function<std::size_t(std::span<const std::byte>)> input = {};
    /// offer() took less than it was given, and there is room again. Serial::sink_ready.
    std::function<void()> output_space = {};
    /// Ctrl-A x.
    std::function<void()> leave = {};
    /// stdout has gone, with the reason; may be empty.
    std::function<void(const uvm::Error&)> output_closed = {};
  };

  /// Both descriptors stay the caller's and must stay open; a closed one counts as ended. `io` must outlive
  /// the console and not be running yet, or run on this thread.
  [[nodiscard]] static uvm::Result<std::unique_ptr<Console>> create(boost::asio::io_context& io,
                                                                    Options options);
  static uvm::Result<std::unique_ptr<Console>> create(boost::asio::io_context& io) {
    return create(io, Options{});
  }
  /// Restores the terminal and the descriptors' flags. Does not wait for output: drain() does.
  ~Console() override;

  /// Begins to read. Callbacks must stay callable as long as the console lives.
  void start(Callbacks callbacks);
  /// Ends reading and restores the terminal; output goes on. Idempotent.
  void stop();
  /// The guest has room again after input() took less than it was given. Any thread.
  void input_space();

  std::size_t offer(std::span<const std::byte> bytes) override;
  /// Runs the io_context, which nobody else may be running any more, until all output is written: what waits
  /// here, and what the guest's UART still holds and output_space() brings. Ends early, with false, when
  /// `limit` has passed (milliseconds::max(): never) or a handler has stopped the io_context.
  bool drain(std::chrono::milliseconds limit);

  [[nodiscard]] bool is_terminal() const;
  /// Keys lost because the guest took none; output thrown away because stdout had gone.
  [[nodiscard]] std::uint64_t input_dropped() const;
  [[nodiscard]] std::uint64_t output_dropped() const;

 private:
  struct State;
  explicit Console(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace vmm

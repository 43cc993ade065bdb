#include "vmm/machine/console.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <utility>
#include <vector>

#include "uvm/base/lock.h"
#include "vmm/devices/byte_queue.h"
#include "vmm/machine/console_keys.h"
#include "vmm/machine/stdio_stream.h"
#include "vmm/machine/terminal.h"

namespace vmm {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr std::size_t kReadBytes = 4096;
constexpr std::chrono::milliseconds kForegroundPoll{500};

constexpr std::string_view kHelp =
    "\r\nuvmm: Ctrl-A x  leave    Ctrl-A Ctrl-A  send one Ctrl-A    Ctrl-A h  this line\r\n";

}  // namespace

/// Shared with the handlers in flight, so that it outlives them; everything but offer() and the counters is
/// the io_context thread's.
struct Console::State : std::enable_shared_from_this<Console::State> {
  State(asio::io_context& context, Options options)
      : io(context),
        input_stream(options.input_fd, StreamDirection::In),
        output_stream(options.output_fd, StreamDirection::Out),
        input(context),
        output(context),
        job_signals(context),
        retry(context) {}

  uvm::Status open(Options options);
  void begin();
  void shut();
  void end_input();

  void read_more();
  void on_read(error_code error, std::size_t count);
  void take_keys(std::span<const std::byte> typed);
  void pump();
  void wait_for_signal();
  void on_signal(int number);
  [[nodiscard]] bool is_background();
  void wait_for_foreground();
  void come_back();

  std::size_t offer(std::span<const std::byte> bytes);
  void write_more();
  void on_written(error_code error, std::size_t count);
  void close_output(error_code error);

  asio::io_context& io;
  StdioStream input_stream;
  StdioStream output_stream;
  asio::posix::stream_descriptor input;
  asio::posix::stream_descriptor output;
  asio::signal_set job_signals;  // SIGTSTP and SIGCONT, on a terminal
  asio::steady_timer retry;      // while in the background
  std::unique_ptr<RawTerminal> terminal;
  sighandler_t old_background_read = SIG_DFL;
  Callbacks callbacks;

  ConsoleKeys keys;
  std::vector<std::byte> read_buffer = std::vector<std::byte>(kReadBytes);
  devices::ByteQueue pending{kInputBytes};  // typed, not yet taken by the guest
  bool reading = false;
  bool started = false;
  bool input_ended = false;
  bool in_background = false;  // a read found that the terminal is another's
  std::atomic<std::uint64_t> input_dropped{0};

  uvm::Mutex mutex{uvm::LockRank::Leaf};
  devices::ByteQueue waiting GUARDED_BY(mutex){kOutputBytes};
  bool writing GUARDED_BY(mutex) = false;  // a write is under way, or posted
  bool refused GUARDED_BY(mutex) = false;  // offer() took less than given
  bool closed GUARDED_BY(mutex) = false;
  std::uint64_t output_dropped GUARDED_BY(mutex) = 0;
};

uvm::Status Console::State::open(Options options) {
  error_code error;
  if (input_stream.kind() == StreamKind::Closed) {
    input_ended = true;
  } else {
    input.assign(input_stream.release(), error);
    if (error) return uvm::Error::from_errno(error.value(), "console: stdin");
  }
  if (output_stream.kind() == StreamKind::Closed) {
    uvm::MutexLock lock(mutex);
    closed = true;
  } else {
    output.assign(output_stream.release(), error);
    if (error) return uvm::Error::from_errno(error.value(), "console: stdout");
  }
  if (input_stream.kind() != StreamKind::Terminal) return uvm::ok();
  UVMM_TRY(terminal, RawTerminal::create(options.input_fd));
  // A read in the background shall fail, not stop the whole machine.
  old_background_read = ::signal(SIGTTIN, SIG_IGN);
  for (const int number : {SIGTSTP, SIGCONT}) {
    job_signals.add(number, error);
    if (error) return uvm::Error::from_errno(error.value(), "console: job control signals");
  }
  wait_for_signal();
  return uvm::ok();
}

void Console::State::begin() {
  started = true;
  pump();
}

void Console::State::end_input() {
  started = false;
  input_ended = true;
  error_code ignored;
  input.close(ignored);
  if (terminal == nullptr) return;
  job_signals.cancel(ignored);  // its handler owns this, and this owns it
  job_signals.clear(ignored);
  retry.cancel();
  terminal.reset();
  ::signal(SIGTTIN, old_background_read);
}

void Console::State::shut() {
  end_input();
  error_code ignored;
  output.close(ignored);
  input_stream.restore();
  output_stream.restore();
  callbacks = {};
  uvm::MutexLock lock(mutex);
  closed = true;
}

void Console::State::read_more() {
  if (!started || reading || input_ended || in_background) return;
  // A terminal is read whatever the guest does: Ctrl-A x has to get through.
  if (terminal == nullptr && !pending.empty()) return;
  reading = true;
  input.async_read_some(
      asio::buffer(read_buffer),
      [self = shared_from_this()](error_code error, std::size_t count) { self->on_read(error, count); });
}

void Console::State::on_read(error_code error, std::size_t count) {
  reading = false;
  if (!started) return;
  if (count != 0) take_keys(std::span(read_buffer).first(count));
  if (error) {
    if (error.value() == EIO && is_background()) {
      in_background = true;
      wait_for_foreground();
    } else if (error != asio::error::operation_aborted) {
      input_ended = true;
    }
  }
  pump();
}

void Console::State::take_keys(std::span<const std::byte> typed) {
  if (terminal == nullptr) {
    pending.push(typed);  // fits: nothing was read before the last bytes had gone
    return;
  }
  const ConsoleKeys::Result result = keys.feed(typed);
  input_dropped += result.bytes.size() - pending.push(result.bytes);
  for (const ConsoleCommand command : result.commands) {
    if (command == ConsoleCommand::Help) offer(std::as_bytes(std::span(kHelp)));
    if (command == ConsoleCommand::Leave && callbacks.leave) callbacks.leave();
  }
}

void Console::State::pump() {
  if (!started) return;
  while (!pending.empty() && callbacks.input) {
    const std::span<const std::byte> front = pending.front();
    const std::size_t taken = callbacks.input(front);
    pending.pop(taken);
    if (taken < front.size()) break;
  }
  read_more();
}

void Console::State::wait_for_signal() {
  job_signals.async_wait([self = shared_from_this()](error_code error, int number) {
    if (!error) self->on_signal(number);
  });
}

void Console::State::on_signal(int number) {
  if (terminal == nullptr) return;
  wait_for_signal();
  if (number == SIGTSTP) {
    terminal->suspend();
    ::kill(::getpid(), SIGSTOP);
    return;
  }
  come_back();
}

bool Console::State::is_background() {
  if (terminal == nullptr) return false;
  const pid_t owner = tcgetpgrp(input.native_handle());
  return owner >= 0 && owner != getpgrp();
}

void Console::State::wait_for_foreground() {
  // A shell that puts a running job in front sends no SIGCONT.
  retry.expires_after(kForegroundPoll);
  retry.async_wait([self = shared_from_this()](error_code error) {
    if (error || !self->in_background) return;
    if (self->is_background()) {
      self->wait_for_foreground();
    } else {
      self->come_back();
    }
  });
}

void Console::State::come_back() {
  if (terminal == nullptr) return;
  terminal->resume();
  in_background = false;
  pump();
}

std::size_t Console::State::offer(std::span<const std::byte> bytes) {
  bool idle = false;
  std::size_t taken = 0;
  {
    uvm::MutexLock lock(mutex);
    if (closed) {
      output_dropped += bytes.size();
      return bytes.size();
    }
    taken = waiting.push(bytes);
    if (taken < bytes.size()) refused = true;
    idle = !writing && !waiting.empty();
    if (idle) writing = true;
  }
  if (idle) asio::post(io, [self = shared_from_this()] { self->write_more(); });
  return taken;
}

void Console::State::write_more() {
  std::span<const std::byte> front;
  {
    uvm::MutexLock lock(mutex);
    front = waiting.front();
    writing = !front.empty();
    if (closed) writing = false;
    if (!writing) return;
  }
  // The bytes stay where they are until on_written() pops them; offer() only adds behind.
  output.async_write_some(
      asio::buffer(front.data(), front.size()),
      [self = shared_from_this()](error_code error, std::size_t count) { self->on_written(error, count); });
}

void Console::State::on_written(error_code error, std::size_t count) {
  bool has_space = false;
  {
    uvm::MutexLock lock(mutex);
    if (closed) return;
    waiting.pop(count);
    if (refused && !error && waiting.size() <= kOutputBytes / 2) {
      refused = false;
      has_space = true;
    }
  }
  if (error) {
    close_output(error);
    return;
  }
  if (has_space && callbacks.output_space) callbacks.output_space();
  write_more();
}

void Console::State::close_output(error_code error) {
  bool was_refused = false;
  {
    uvm::MutexLock lock(mutex);
    closed = true;
    writing = false;
    output_dropped += waiting.size();
    waiting.clear();
    was_refused = std::exchange(refused, false);
  }
  error_code ignored;
  output.close(ignored);
  if (callbacks.output_closed) {
    callbacks.output_closed(uvm::Error::from_errno(error.value(), "console: writing to stdout"));
  }
  if (was_refused && callbacks.output_space) callbacks.output_space();
}

uvm::Result<std::unique_ptr<Console>> Console::create(asio::io_context& io, Options options) {
  ::signal(SIGPIPE, SIG_IGN);
  auto state = std::make_shared<State>(io, options);
  std::unique_ptr<Console> console(new Console(state));
  UVMM_CHECK(state->open(options));
  return console;
}

Console::Console(std::shared_ptr<State> state) : state_(std::move(state)) {}

Console::~Console() {
  state_->shut();
}

void Console::start(Callbacks callbacks) {
  state_->callbacks = std::move(callbacks);
  state_->begin();
}

void Console::stop() {
  state_->end_input();
}

void Console::input_space() {
  asio::post(state_->io, [state = state_] { state->pump(); });
}

std::size_t Console::offer(std::span<const std::byte> bytes) {
  return state_->offer(bytes);
}

bool Console::drain(std::chrono::milliseconds limit) {
  const auto now = std::chrono::steady_clock::now();
  const bool for_ever = limit > std::chrono::hours(24 * 365);
  const auto deadline = for_ever ? now : now + limit;
  const auto left = [this] {
    uvm::MutexLock lock(state_->mutex);
    return state_->waiting.size();
  };
  state_->io.restart();
  // Whatever a UART could not hand over comes through output_space() while this goes on.
  while (left() != 0) {
    const std::size_t ran = for_ever ? state_->io.run_one() : state_->io.run_one_until(deadline);
    if (ran == 0 && left() != 0) return false;
  }
  return true;
}

bool Console::is_terminal() const {
  return state_->input_stream.kind() == StreamKind::Terminal;
}

std::uint64_t Console::input_dropped() const {
  return state_->input_dropped;
}

std::uint64_t Console::output_dropped() const {
  uvm::MutexLock lock(state_->mutex);
  return state_->output_dropped;
}

}  // namespace vmm

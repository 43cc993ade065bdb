#include "vmm/log.h"

#include <fcntl.h>
#include <poll.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>

#include "uvm/base/lock.h"
#include "vmm/kvm/fd.h"
#include "vmm/text.h"

namespace vmm::log {
namespace {

constexpr int kWriteTimeout = 100;  // ms a reader may stand still before a line is dropped
constexpr std::array<std::string_view, 7> kLevelNames = {"trace", "debug",    "info", "warning",
                                                         "error", "critical", "off"};

spdlog::level::level_enum native(Level level) {
  return static_cast<spdlog::level::level_enum>(level);
}
static_assert(static_cast<int>(Level::Trace) == SPDLOG_LEVEL_TRACE &&
              static_cast<int>(Level::Off) == SPDLOG_LEVEL_OFF);

/// Each line by one write(2): what other processes append to the same file never lands inside a line. The
/// console may have made the terminal non-blocking, so EAGAIN is waited for, but not long.
class DescriptorSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  DescriptorSink(int number, Fd owned) : number_(number), owned_(std::move(owned)) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    std::size_t done = 0;
    while (done < line.size()) {
      const ssize_t count = ::write(number_, line.data() + done, line.size() - done);
      if (count >= 0) {
        done += static_cast<std::size_t>(count);
      } else if (errno == EAGAIN) {
        pollfd waited{number_, POLLOUT, 0};
        if (::poll(&waited, 1, kWriteTimeout) == 0) return;
      } else if (errno != EINTR) {
        return;
      }
    }
  }
  void flush_() override {}

 private:
  const int number_;
  const Fd owned_;  // none for stderr
};

std::shared_ptr<spdlog::logger> make_logger(int number, Fd owned, LineEnding ending) {
  if (ending == LineEnding::Auto) ending = ::isatty(number) == 1 ? LineEnding::CrLf : LineEnding::Lf;
  auto logger =
      std::make_shared<spdlog::logger>("uvmm", std::make_shared<DescriptorSink>(number, std::move(owned)));
  logger->set_formatter(std::make_unique<spdlog::pattern_formatter>(
      "%Y-%m-%dT%H:%M:%S.%fZ %l %v", spdlog::pattern_time_type::utc,
      ending == LineEnding::CrLf ? "\r\n" : "\n"));
  logger->set_level(spdlog::level::trace);  // event() has decided already
  logger->set_error_handler([](const std::string&) {});
  return logger;
}

struct State {
  std::atomic<Level> level{Level::Warning};
  uvm::Mutex mutex{uvm::LockRank::Leaf};
  std::shared_ptr<spdlog::logger> logger GUARDED_BY(mutex);
};

/// Never destroyed: destructors of statics and detached threads may still log.
State& state() {
  static State& the_state = *new State;
  return the_state;
}

std::shared_ptr<spdlog::logger> current_logger() {
  State& s = state();
  const uvm::MutexLock lock(s.mutex);
  if (!s.logger) s.logger = make_logger(STDERR_FILENO, Fd(), LineEnding::Auto);
  return s.logger;
}

template <class T>
void append_number(std::string& line, T value, int base = 10) {
  std::array<char, 24> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, base).ptr;
  line.append(digits.data(), end);
}

}  // namespace

std::string_view to_string(Level level) {
  return kLevelNames[static_cast<std::size_t>(level)];
}

std::optional<Level> parse_level(std::string_view name) {
  std::string lower(name);
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (lower == "warn") return Level::Warning;
  const auto* found = std::ranges::find(kLevelNames, lower);
  if (found == kLevelNames.end()) return std::nullopt;
  return static_cast<Level>(found - kLevelNames.begin());
}

void Field::append_to(std::string& line) const {
  line += ' ';
  line += key_;
  line += '=';
  switch (kind_) {
    case Kind::Text:
      line += field_value(text_);
      return;
    case Kind::Boolean:
      line += number_ != 0 ? "true" : "false";
      return;
    case Kind::Unsigned:
      append_number(line, number_);
      return;
    case Kind::Signed:
      append_number(line, static_cast<std::int64_t>(number_));
      return;
    case Kind::Hexadecimal:
      line += "0x";
      append_number(line, number_, 16);
      return;
  }
}

bool enabled(Level level) {
  return level != Level::Off && level >= state().level.load(std::memory_order_relaxed);
}

void event(Level level, std::string_view what, std::initializer_list<Field> fields) noexcept try {
  if (!enabled(level)) return;
  std::string line = one_line(what);
  for (const Field& field : fields) field.append_to(line);
  current_logger()->log(native(level), spdlog::string_view_t(line.data(), line.size()));
} catch (...) {
  // Out of memory, most likely. The machine matters more than the line.
}

uvm::Status set_up(const Settings& settings) try {
  std::shared_ptr<spdlog::logger> logger;
  if (settings.file.empty()) {
    logger = make_logger(STDERR_FILENO, Fd(), settings.line_ending);
  } else {
    Fd file(::open(settings.file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
                   0640));
    if (!file) return uvm::Error::from_errno(errno, "log file " + settings.file);
    const int number = file.get();
    logger = make_logger(number, std::move(file), settings.line_ending);
  }
  State& s = state();
  s.level.store(settings.level, std::memory_order_relaxed);
  const uvm::MutexLock lock(s.mutex);
  s.logger.swap(logger);
  return uvm::ok();
} catch (const std::exception& failure) {
  return uvm::Error(uvm::ErrorKind::NoMemory, std::string("log: ") + failure.what());
}

}  // namespace vmm::log

#include "vmm/cli/progress_bar.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "vmm/config/values.h"

namespace vmm::cli {
namespace {

constexpr std::uint64_t kMarks = 20;
constexpr std::chrono::milliseconds kPause{100};
constexpr std::string_view kClearLine = "\r\x1b[K";

void write_out(std::string_view text) {
  static_cast<void>(!::write(STDERR_FILENO, text.data(), text.size()));
}

}  // namespace

std::string progress_line(std::string_view title, std::uint64_t done, std::uint64_t all) {
  const std::uint64_t most = std::max<std::uint64_t>(all, 1);
  const std::uint64_t part = all == 0 ? 1 : std::min(done, all);
  const auto share = [&](std::uint64_t of) {
    return static_cast<std::uint64_t>(static_cast<double>(part) / static_cast<double>(most) *
                                      static_cast<double>(of));
  };
  std::array<char, 8> percent{};
  std::snprintf(percent.data(), percent.size(), "%3u%%", static_cast<unsigned>(share(100)));
  std::string bar(share(kMarks), '#');
  bar.resize(kMarks, ' ');
  return std::string(title) + " [" + bar + "] " + percent.data() + "  " + config::format_size(done) + " of " +
         config::format_size(all);
}

ProgressBar::ProgressBar(std::string title)
    : title_(std::move(title)),
      is_terminal_(::isatty(STDERR_FILENO) == 1),
      next_(std::chrono::steady_clock::now() + kPause) {}

ProgressBar::~ProgressBar() {
  if (is_shown_) write_out(kClearLine);
}

void ProgressBar::show(std::uint64_t done, std::uint64_t all) {
  if (!is_terminal_ || std::chrono::steady_clock::now() < next_) return;
  next_ = std::chrono::steady_clock::now() + kPause;
  is_shown_ = true;
  write_out(std::string(kClearLine) + progress_line(title_, done, all));
}

}  // namespace vmm::cli

// How far something is that takes its time, for whoever watches a terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace vmm::cli {

/// "snapshot [#####               ]  25%  256M of 1G", without an end of line. `all` of 0 is all of nothing.
[[nodiscard]] std::string progress_line(std::string_view title, std::uint64_t done, std::uint64_t all);

/// One line on stderr, written over ten times a second at most, and gone at the end. Nothing where stderr is
/// no terminal. One thread.
class ProgressBar {
 public:
  explicit ProgressBar(std::string title);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// Bytes.
  void show(std::uint64_t done, std::uint64_t all);

 private:
  const std::string title_;
  const bool is_terminal_;
  bool is_shown_ = false;
  std::chrono::steady_clock::time_point next_;
};

}  // namespace vmm::cli

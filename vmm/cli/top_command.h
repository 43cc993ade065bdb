// `uvmm top`: the guests that run here, and what they do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace vmm::cli {

enum class TopOutput : std::uint8_t {
  Live,  // again and again, where stdout is a terminal; else once
  Once,
  Json,  // once
};

/// A guest at one moment. Bytes; counts since its start.
struct TopSample {
  std::string name;
  std::uint64_t pid = 0;
  std::uint64_t parent = 0;
  bool paused = false;
  bool silent = false;  // no answer: nothing but its name and pid is known
  std::uint64_t memory = 0;
  std::uint64_t resident = 0;
  std::uint64_t priv = 0;
  std::uint64_t shared = 0;
  std::uint64_t swapped = 0;
  std::uint64_t wired = 0;
  std::uint64_t faults = 0;
  std::uint64_t exits = 0;
};

/// A table, parents before their copies and these indented. With what was there `seconds` before (0: never),
/// faults and exits are rates of each guest that was there, else counts.
[[nodiscard]] std::string top_table(const std::vector<TopSample>& now, const std::vector<TopSample>& before,
                                    double seconds);

/// Returns the exit status.
[[nodiscard]] int top_command(TopOutput output);

}  // namespace vmm::cli

// A program run by a test: its arguments in, its output and exit status out.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace test {

struct ProcessResult {
  int status = -1;  // exit status; 128 + n for death by signal n; -1: it did not end in time and was killed
  std::string out;
  std::string err;
};

/// Bytes for stdin, held back until the output after the previous step's cue holds `cue`.
struct ProcessInput {
  std::string cue;
  std::string text;
};

struct ProcessOptions {
  std::chrono::seconds limit{300};
  std::vector<ProcessInput> input;  // in order; then stdin ends
};

/// Runs arguments[0], found by path, with stdin, stdout and stderr as pipes.
[[nodiscard]] ProcessResult run_process(const std::vector<std::string>& arguments,
                                        const ProcessOptions& options = {});

}  // namespace test

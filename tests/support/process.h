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

struct ProcessOptions {
  std::chrono::seconds limit{120};
  std::string input;     // written to its stdin, which then ends
  std::string wait_for;  // input is held back until the output holds this
};

/// Runs arguments[0], found by path, with stdin, stdout and stderr as pipes.
[[nodiscard]] ProcessResult run_process(const std::vector<std::string>& arguments,
                                        const ProcessOptions& options = {});

}  // namespace test

// A program that runs beside a test, with everything it starts.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

namespace test {

/// Without input; both outputs go to one file. Its destructor asks the whole process group to end and waits.
class BackgroundProcess {
 public:
  /// Runs arguments[0], a path; `log` is written anew.
  BackgroundProcess(const std::vector<std::string>& arguments, std::string log);
  ~BackgroundProcess();
  BackgroundProcess(const BackgroundProcess&) = delete;
  BackgroundProcess& operator=(const BackgroundProcess&) = delete;

  /// What it has printed so far, from byte `from` on.
  [[nodiscard]] std::string output(std::size_t from = 0) const;
  [[nodiscard]] std::size_t output_size() const;
  /// Until it has printed `text` behind byte `from`. False: it has ended without, or `limit` has passed.
  [[nodiscard]] bool prints(const std::string& text, std::size_t from, std::chrono::seconds limit);
  /// kill -9, and nobody is asked.
  void kill_at_once();
  /// Its exit status as in ProcessResult; -1 when it is still running after `limit`.
  [[nodiscard]] int wait(std::chrono::seconds limit);
  [[nodiscard]] bool has_ended();

 private:
  std::string log_;
  pid_t pid_ = -1;
  int status_ = -1;
};

}  // namespace test

#include "tests/support/model/property.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "tests/support/model/generator.h"
#include "tests/support/model/runner.h"
#include "tests/support/model/shrink.h"
#include "tests/support/patterns.h"

namespace test::model {
namespace {

/// Steps of a long run: the test's own number, or what the environment asks for.
std::size_t wanted_steps(std::size_t usual) {
  const char* given = std::getenv("UVMM_MODEL_STEPS");
  return given != nullptr ? std::strtoull(given, nullptr, 0) : usual;
}

/// The child's whole life. Its output goes to the pipe, so that trials of a shrinking sequence are quiet.
[[noreturn]] void run_trial(const MakeBackend& make, const std::vector<Op>& ops, unsigned seconds,
                            int output) {
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  ::alarm(seconds);
  bool is_bad = false;
  {
    const auto backend = make();
    if (const auto failure = Runner(*backend).run(ops)) {
      std::printf("%s\n", failure->c_str());
      is_bad = true;
    }
  }
  std::fflush(nullptr);
  ::_exit(is_bad || ::testing::Test::HasFailure() ? 1 : 0);
}

std::string read_all(int fd) {
  std::string text;
  std::array<char, 4096> part{};
  while (true) {
    const ssize_t got = ::read(fd, part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(part.data(), static_cast<std::size_t>(got));
  }
}

std::string ending(int status) {
  if (WIFSIGNALED(status)) {
    return WTERMSIG(status) == SIGALRM ? "it hangs\n"
                                       : "it ends by signal " + std::to_string(WTERMSIG(status)) + "\n";
  }
  return "it differs\n";
}

}  // namespace

std::string difference(const MakeBackend& make, const std::vector<Op>& ops, unsigned seconds) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return "no pipe";
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) return "no child process";
  if (child == 0) {
    ::close(ends[0]);
    run_trial(make, ops, seconds, ends[1]);
  }
  ::close(ends[1]);
  const std::string output = read_all(ends[0]);
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return ending(status) + output;
}

void check_random_sequences(const MakeBackend& make, std::size_t steps) {
  const std::uint64_t seed = test_seed();
  const std::size_t wanted = wanted_steps(steps);
  std::size_t done = 0;
  for (std::uint64_t round = 0; done < wanted; ++round) {
    const auto ops = generate(seed + round, std::min(kSequence, wanted - done));
    done += ops.size();
    const std::string first = difference(make, ops);
    if (first.empty()) continue;
    std::printf("%s\nlooking for a shorter sequence\n", first.c_str());
    std::fflush(stdout);
    std::string last = first;
    const auto fewest = shrunk(ops, [&](const std::vector<Op>& fewer) {
      const std::string found = difference(make, fewer, kShorterTrialSeconds);
      if (!found.empty()) last = found;
      return !found.empty();
    });
    ADD_FAILURE() << "UVMM_TEST_SEED=" << seed + round << " UVMM_MODEL_STEPS=" << ops.size() << ": "
                  << fewest.size() << " steps of them are enough:\n"
                  << to_code(fewest) << last;
    return;
  }
  std::printf("%zu steps\n", done);
}

void check_sequence(const MakeBackend& make, const std::vector<Op>& ops) {
  const std::string found = difference(make, ops);
  EXPECT_TRUE(found.empty()) << found;
}

}  // namespace test::model

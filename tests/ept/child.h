// What another process finds.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace ept::test {

/// Runs `act` in a child process and returns its status as waitpid() gives it. `act` returns the exit status;
/// no test macros in it.
template <class Act>
int status_of_child(Act&& act) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(act());
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}

}  // namespace ept::test

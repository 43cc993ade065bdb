#include "vmm/cli/output.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "vmm/text.h"

namespace vmm::cli {
namespace {

/// 0 or an errno.
int write_all(int number, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t count = ::write(number, text.data(), text.size());
    if (count >= 0) {
      text.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno == EAGAIN) {
      // Somebody who shares the terminal has made it non-blocking.
      pollfd waited{number, POLLOUT, 0};
      static_cast<void>(::poll(&waited, 1, -1));
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

void print_line(std::string_view prefix, std::string_view text) noexcept try {
  static_cast<void>(write_all(STDERR_FILENO, std::string(prefix) + one_line(text) + "\n"));
} catch (...) {
  static_cast<void>(write_all(STDERR_FILENO, prefix));
  static_cast<void>(write_all(STDERR_FILENO, "out of memory\n"));
}

}  // namespace

void ensure_standard_descriptors() {
  for (int number = 0; number <= STDERR_FILENO; ++number) {
    if (::fcntl(number, F_GETFD) != -1 || errno != EBADF) continue;
    // The lowest free number is `number`; it stays open for the life of the process.
    if (::open("/dev/null", O_RDWR) < 0) return;
  }
}

void print_error(std::string_view text) noexcept {
  print_line("uvmm: error: ", text);
}

void print_notice(std::string_view text) noexcept {
  print_line("uvmm: ", text);
}

ExitStatus print(std::string_view text) {
  const int error = write_all(STDOUT_FILENO, text);
  if (error == 0 || error == EPIPE) return ExitStatus::Ok;
  print_error(uvm::Error::from_errno(error, "standard output").text());
  return ExitStatus::Internal;
}

}  // namespace vmm::cli

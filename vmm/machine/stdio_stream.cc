#include "vmm/machine/stdio_stream.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <utility>

namespace vmm {

namespace {

int open_again(int fd, StreamDirection direction) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  const int mode = direction == StreamDirection::In ? O_RDONLY : O_WRONLY;
  return ::open(path.c_str(), mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

}  // namespace

StdioStream::StdioStream(int original, StreamDirection direction) : original_(original) {
  struct stat status = {};
  if (original < 0 || fstat(original, &status) != 0) return;
  kind_ = StreamKind::Other;
  if (isatty(original) != 0) kind_ = StreamKind::Terminal;
  if (S_ISFIFO(status.st_mode)) kind_ = StreamKind::Pipe;
  if (kind_ != StreamKind::Other) fd_ = open_again(original, direction);
  if (fd_ >= 0) return;
  flags_ = fcntl(original, F_GETFL);
  fd_ = fcntl(original, F_DUPFD_CLOEXEC, 3);
  if (fd_ < 0) kind_ = StreamKind::Closed;
}

StdioStream::~StdioStream() {
  if (fd_ >= 0) ::close(fd_);
  restore();
}

void StdioStream::restore() {
  const int flags = std::exchange(flags_, -1);
  if (flags >= 0) fcntl(original_, F_SETFL, flags);
}

int StdioStream::release() {
  return std::exchange(fd_, -1);
}

}  // namespace vmm

#include <unistd.h>

#include <cerrno>

#include "vmm/swap/file_io.h"

namespace vmm {
namespace {

/// Repeats `transfer(done)` until `size` bytes are moved, the file ends or it fails.
template <class Transfer>
IoOutcome repeat(std::size_t size, Transfer transfer) {
  IoOutcome outcome;
  while (outcome.done < size) {
    const ssize_t moved = transfer(outcome.done);
    if (moved < 0 && errno == EINTR) continue;
    if (moved < 0) outcome.error = errno;
    if (moved <= 0) return outcome;
    outcome.done += static_cast<std::size_t>(moved);
  }
  return outcome;
}

class PlainFileIo final : public FileIo {
 public:
  explicit PlainFileIo(int fd) : fd_(fd) {}

  IoOutcome read(std::uint64_t offset, std::span<std::byte> to) override {
    return repeat(to.size(), [&](std::size_t done) {
      return ::pread(fd_, to.data() + done, to.size() - done, static_cast<off_t>(offset + done));
    });
  }
  IoOutcome write(std::uint64_t offset, std::span<const std::byte> from) override {
    return repeat(from.size(), [&](std::size_t done) {
      return ::pwrite(fd_, from.data() + done, from.size() - done, static_cast<off_t>(offset + done));
    });
  }
  [[nodiscard]] std::string_view name() const override { return "pread/pwrite"; }

 private:
  const int fd_;
};

}  // namespace

std::unique_ptr<FileIo> plain_file_io(int fd) {
  return std::make_unique<PlainFileIo>(fd);
}

}  // namespace vmm

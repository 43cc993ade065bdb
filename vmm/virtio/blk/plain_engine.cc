#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <deque>

#include "vmm/virtio/blk/engine.h"

namespace vmm::virtio::blk {
namespace {

constexpr unsigned kMostAttempts = 16;  // of a call that says again and again that it was interrupted

int mode_of(JobKind kind) {
  return FALLOC_FL_KEEP_SIZE | (kind == JobKind::Punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
}

class PlainEngine final : public Engine {
 public:
  explicit PlainEngine(int fd) : fd_(fd) {}

  void start(Job& job) override {
    while (!settle(job, do_now(fd_, job))) {
    }
    done_.push_back(&job);
  }
  void submit() override {}
  [[nodiscard]] Job* reap() override {
    if (done_.empty()) return nullptr;
    Job* const job = done_.front();
    done_.pop_front();
    return job;
  }
  void use(int fd) override { fd_ = fd; }
  [[nodiscard]] int event_fd() const override { return -1; }
  [[nodiscard]] std::string_view name() const override { return "preadv/pwritev"; }

 private:
  int fd_;
  std::deque<Job*> done_;
};

}  // namespace

void advance(Job& job, std::uint64_t moved) {
  job.done += moved;
  while (moved != 0 && job.part < job.parts.size()) {
    iovec& part = job.parts[job.part];
    const std::uint64_t taken = std::min<std::uint64_t>(moved, part.iov_len);
    part.iov_base = static_cast<std::byte*>(part.iov_base) + taken;
    part.iov_len -= taken;
    moved -= taken;
    if (part.iov_len == 0) ++job.part;
  }
}

std::int64_t do_now(int fd, Job& job) {
  const auto offset = static_cast<off_t>(job.offset + job.done);
  const iovec* const parts = job.parts.data() + job.part;
  const int count = static_cast<int>(std::min<std::size_t>(job.parts.size() - job.part, IOV_MAX));
  std::int64_t result = 0;
  switch (job.kind) {
    case JobKind::Read:
      result = ::preadv(fd, parts, count, offset);
      break;
    case JobKind::Write:
      result = ::pwritev(fd, parts, count, offset);
      break;
    case JobKind::DurableWrite:
      result = ::pwritev2(fd, parts, count, offset, RWF_DSYNC);
      break;
    case JobKind::Flush:
      result = ::fdatasync(fd);
      break;
    case JobKind::Punch:
    case JobKind::Zero:
      result = ::fallocate(fd, mode_of(job.kind), offset, static_cast<off_t>(job.bytes));
      break;
    case JobKind::Forget: {
      const std::array range{job.offset, job.bytes};
      result = ::ioctl(fd, BLKDISCARD, range.data());
      break;
    }
  }
  return result < 0 ? -errno : result;
}

bool settle(Job& job, std::int64_t result) {
  if (result == -EINTR || result == -EAGAIN) {
    job.error = EIO;
    return ++job.attempts == kMostAttempts;
  }
  job.error = result < 0 ? static_cast<int>(-result) : 0;
  if (result < 0) return true;
  const bool moves =
      job.kind == JobKind::Read || job.kind == JobKind::Write || job.kind == JobKind::DurableWrite;
  if (!moves) return true;
  advance(job, static_cast<std::uint64_t>(result));
  if (job.done >= job.bytes) return true;
  if (result == 0) job.error = ENODATA;
  return result == 0;
}

std::unique_ptr<Engine> plain_engine(int fd) {
  return std::make_unique<PlainEngine>(fd);
}

}  // namespace vmm::virtio::blk

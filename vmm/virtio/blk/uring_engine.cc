#include <fcntl.h>
#include <liburing.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <deque>
#include <string>
#include <vector>

#include "vmm/kvm/fd.h"
#include "vmm/virtio/blk/engine.h"

namespace vmm::virtio::blk {
namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned kEntries = 256;
/// Writes into the page cache up to this are done where they come, which takes less than to hand them to one
/// of the kernel's workers and to be woken: the kernel hands over all that may wait.
constexpr std::uint64_t kMostHere = 128 * 1024;
/// Unless one took this long, as it does when the host has too much to write out: then others are handed over
/// for a while, and reads do not wait for them.
constexpr std::chrono::milliseconds kSlow{2};
constexpr std::chrono::seconds kHandedOver{1};

uvm::Error refused(int error) {
  return uvm::Error::from_errno(error, "setting up io_uring",
                                "allow io_uring (sysctl kernel.io_uring_disabled, the container's seccomp "
                                "profile) for faster disks");
}

class UringEngine final : public Engine {
 public:
  explicit UringEngine(int fd) : fd_(fd) {}
  ~UringEngine() override {
    if (has_ring_) ::io_uring_queue_exit(&ring_);
  }

  [[nodiscard]] uvm::Status open() {
    // Its thread is not interrupted for what is done: it looks, or sleeps and is woken.
    io_uring_params params{};
    params.flags = IORING_SETUP_COOP_TASKRUN;
    int error = ::io_uring_queue_init_params(kEntries, &ring_, &params);
    if (error == -EINVAL) {
      params = {};
      error = ::io_uring_queue_init_params(kEntries, &ring_, &params);
    }
    if (error < 0) return refused(-error);
    has_ring_ = true;
    UVMM_CHECK(check_operations());
    event_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!event_) return uvm::Error::from_errno(errno, "eventfd");
    // For all that is done: the kernel's "async" kind leaves reads out that have waited for the page cache.
    error = ::io_uring_register_eventfd(&ring_, event_.get());
    if (error < 0) return refused(-error);
    return uvm::ok();
  }

  void start(Job& job) override {
    if (job.kind == JobKind::Forget ||
        (job.kind == JobKind::Write && job.bytes <= kMostHere && writes_here())) {
      do_here(job);
    } else if (!prepare(job)) {
      waiting_.push_back(&job);
    }
  }
  void submit() override {
    // Most of it is done when the call returns: reap() finds that without being told.
    if (prepared_ != 0) tell(Events::None);
    while (prepared_ != 0) {
      const int sent = ::io_uring_submit(&ring_);
      if (sent < 0 && sent != -EINTR) return;  // of what is left, reap() tries again
      if (sent > 0) {
        prepared_ -= std::min(prepared_, static_cast<unsigned>(sent));
        sent_ += static_cast<unsigned>(sent);
      }
      while (!waiting_.empty() && prepare(*waiting_.front())) waiting_.pop_front();
    }
  }
  [[nodiscard]] Job* reap() override {
    if (!done_.empty()) {
      Job* const job = done_.front();
      done_.pop_front();
      return job;
    }
    for (;;) {
      io_uring_cqe* entry = nullptr;
      if (::io_uring_peek_cqe(&ring_, &entry) != 0 || entry == nullptr) {
        const unsigned before = prepared_;
        submit();
        if (prepared_ == before && !listen()) return nullptr;
        continue;
      }
      Job& job = *static_cast<Job*>(::io_uring_cqe_get_data(entry));
      const int result = entry->res;
      ::io_uring_cqe_seen(&ring_, entry);
      --sent_;
      if (settle(job, result)) return &job;
      start(job);
    }
  }
  void use(int fd) override {
    fd_ = fd;
    writes_here_from_ = {};
  }
  [[nodiscard]] int event_fd() const override { return event_.get(); }
  [[nodiscard]] std::string_view name() const override { return "io_uring"; }

 private:
  [[nodiscard]] uvm::Status check_operations() {
    io_uring_probe* const probe = ::io_uring_get_probe_ring(&ring_);
    if (probe == nullptr) return refused(ENOSYS);
    bool all = true;
    for (const int operation : {IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE}) {
      all = all && ::io_uring_opcode_supported(probe, operation) != 0;
    }
    ::io_uring_free_probe(probe);
    return all ? uvm::ok() : uvm::Status(refused(ENOSYS));
  }

  enum class Events : std::uint8_t { None, All };
  void tell(Events events) {
    // Kernels before 5.8 do not hear of it, and go on telling.
    if (events != told_ && ::io_uring_cq_eventfd_toggle(&ring_, events == Events::All) == 0) told_ = events;
  }
  /// Has the eventfd tell what is done from now on. True: something has been done before.
  [[nodiscard]] bool listen() {
    if (sent_ == 0 || told_ == Events::All) return false;
    tell(Events::All);
    // The kernel writes what is done and then looks whether to tell; here it is the other way round.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return ::io_uring_cq_ready(&ring_) != 0;
  }

  [[nodiscard]] bool writes_here() const { return Clock::now() >= writes_here_from_; }
  void do_here(Job& job) {
    const auto begin = Clock::now();
    while (!settle(job, do_now(fd_, job))) {
    }
    const auto end = Clock::now();
    if (end - begin >= kSlow) writes_here_from_ = end + kHandedOver;
    done_.push_back(&job);
  }

  /// False: the ring has no room.
  [[nodiscard]] bool prepare(Job& job) {
    io_uring_sqe* const entry = ::io_uring_get_sqe(&ring_);
    if (entry == nullptr) return false;
    const std::uint64_t offset = job.offset + job.done;
    const iovec* const parts = job.parts.data() + job.part;
    const auto count = static_cast<unsigned>(std::min<std::size_t>(job.parts.size() - job.part, IOV_MAX));
    switch (job.kind) {
      case JobKind::Read:
        ::io_uring_prep_readv(entry, fd_, parts, count, offset);
        break;
      case JobKind::Write:
        ::io_uring_prep_writev(entry, fd_, parts, count, offset);
        break;
      case JobKind::DurableWrite:
        ::io_uring_prep_writev2(entry, fd_, parts, count, offset, RWF_DSYNC);
        break;
      case JobKind::Flush:
        ::io_uring_prep_fsync(entry, fd_, IORING_FSYNC_DATASYNC);
        break;
      case JobKind::Punch:
      case JobKind::Zero:
        ::io_uring_prep_fallocate(
            entry, fd_,
            FALLOC_FL_KEEP_SIZE | (job.kind == JobKind::Punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE),
            static_cast<off_t>(offset), static_cast<off_t>(job.bytes));
        break;
      case JobKind::Forget:
        return false;
    }
    ::io_uring_sqe_set_data(entry, &job);
    ++prepared_;
    return true;
  }

  int fd_;
  io_uring ring_{};
  bool has_ring_ = false;
  Fd event_;
  unsigned prepared_ = 0;  // in the ring, not sent
  unsigned sent_ = 0;      // and not back
  Events told_ = Events::All;
  std::deque<Job*> waiting_;  // for room in the ring
  std::deque<Job*> done_;     // without the ring
  Clock::time_point writes_here_from_;
};

}  // namespace

uvm::Result<std::unique_ptr<Engine>> uring_engine(int fd) {
  auto engine = std::make_unique<UringEngine>(fd);
  UVMM_CHECK(engine->open());
  return std::unique_ptr<Engine>(std::move(engine));
}

}  // namespace vmm::virtio::blk

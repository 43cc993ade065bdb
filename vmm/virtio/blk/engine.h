// Reads, writes and the like of one file, many at a time: by io_uring or, where a host forbids that, by plain
// system calls one after the other.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "uvm/base/error.h"

namespace vmm::virtio::blk {

enum class JobKind : std::uint8_t {
  Read,
  Write,
  DurableWrite,  // on the host's storage when it is done
  Flush,         // every write that was done before it was started is on the host's storage
  Punch,         // bytes that read as zero and take no room
  Zero,          // bytes that read as zero and keep their room
  Forget,        // of a block device: bytes that nobody needs; always here and now
};

/// One thing to do. Belongs to who starts it, and stays where it is until it comes back.
struct Job {
  JobKind kind = JobKind::Read;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::vector<iovec> parts;  // of Read and Write: `bytes` of memory
  int error = 0;             // when it comes back: 0, or an errno; ENODATA: the file ends before that

  std::uint64_t done = 0;  // the engine's own
  std::size_t part = 0;
  unsigned attempts = 0;
};

/// One thread's. Short transfers are taken up again until all is moved; so are calls that were interrupted.
class Engine {
 public:
  Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  /// No job may be under way.
  virtual ~Engine() = default;

  /// Takes a job in; it may wait for submit().
  virtual void start(Job& job) = 0;
  /// Sends what was started on its way.
  virtual void submit() = 0;
  /// The next job that is done; null: none now.
  [[nodiscard]] virtual Job* reap() = 0;
  /// Jobs from now on are for another file, which must outlive the engine as well. None is under way.
  virtual void use(int fd) = 0;
  /// Becomes readable when a job is done after reap() has had none; -1: that does not happen.
  [[nodiscard]] virtual int event_fd() const = 0;
  /// For logs: "io_uring", "preadv/pwritev".
  [[nodiscard]] virtual std::string_view name() const = 0;
};

/// Neither owns `fd`, which must outlive it.
[[nodiscard]] std::unique_ptr<Engine> plain_engine(int fd);
/// Errors: Permission, Unsupported, System (this kernel or container does not let a process have a ring).
[[nodiscard]] uvm::Result<std::unique_ptr<Engine>> uring_engine(int fd);

/// Moves what is left of a job's parts over `moved` bytes.
void advance(Job& job, std::uint64_t moved);
/// Does what is left of it, here and now; a negative result is an errno.
[[nodiscard]] std::int64_t do_now(int fd, Job& job);
/// Takes in what a call for it gave. True: it is done, well or not; false: call again.
[[nodiscard]] bool settle(Job& job, std::int64_t result);

}  // namespace vmm::virtio::blk

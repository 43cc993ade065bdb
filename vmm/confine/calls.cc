#include "vmm/confine/calls.h"

#include <fcntl.h>
#include <linux/net.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <span>

namespace vmm::confine {
namespace {

constexpr std::uint64_t kWord = 0xffff'ffff;  // the kernel looks at no more of an int

constexpr Call always(int number) {
  return {number, std::nullopt, Verdict::Make};
}
constexpr Call only(int number, unsigned index, std::uint64_t value, std::uint64_t mask = kWord) {
  return {number, Argument{index, mask, value}, Verdict::Make};
}

/// What no thread does without: locks, clocks, memory that cannot be executed, and descriptors it has.
constexpr std::array kCommon = {
    // itself
    always(SYS_futex), always(SYS_sched_yield), always(SYS_sched_getaffinity), always(SYS_getpid),
    always(SYS_gettid), always(SYS_getuid), always(SYS_geteuid), always(SYS_getgid), always(SYS_getegid),
    always(SYS_getpgrp), always(SYS_getrusage), always(SYS_sysinfo), always(SYS_uname), always(SYS_getrandom),
    always(SYS_rt_sigreturn), always(SYS_rt_sigaction), always(SYS_rt_sigprocmask), always(SYS_sigaltstack),
    always(SYS_restart_syscall), always(SYS_membarrier), always(SYS_rseq), always(SYS_set_robust_list),
    always(SYS_exit), always(SYS_exit_group), only(SYS_prctl, 0, PR_SET_NAME), only(SYS_prlimit64, 0, 0),
    // clocks and timers
    always(SYS_clock_gettime), always(SYS_clock_getres), always(SYS_clock_nanosleep), always(SYS_nanosleep),
    always(SYS_gettimeofday), always(SYS_time), always(SYS_timerfd_create), always(SYS_timerfd_settime),
    always(SYS_timerfd_gettime),
    // memory
    always(SYS_munmap), always(SYS_mremap), always(SYS_madvise), always(SYS_process_madvise), always(SYS_brk),
    always(SYS_mincore), always(SYS_mlock), always(SYS_munlock), always(SYS_memfd_create),
    only(SYS_mmap, 2, 0, PROT_EXEC), only(SYS_mprotect, 2, 0, PROT_EXEC),
    // descriptors
    always(SYS_read), always(SYS_write), always(SYS_readv), always(SYS_writev), always(SYS_pread64),
    always(SYS_pwrite64), always(SYS_preadv), always(SYS_pwritev), always(SYS_preadv2), always(SYS_pwritev2),
    always(SYS_lseek), always(SYS_close), always(SYS_dup), always(SYS_dup3), always(SYS_pipe2),
    always(SYS_eventfd2), always(SYS_poll), always(SYS_ppoll), always(SYS_select), always(SYS_pselect6),
    always(SYS_epoll_create1), always(SYS_epoll_ctl), always(SYS_epoll_wait), always(SYS_epoll_pwait),
    always(SYS_epoll_pwait2), always(SYS_fstat), always(SYS_newfstatat), always(SYS_lstat), always(SYS_stat),
    always(SYS_statx), always(SYS_statfs), always(SYS_fstatfs), always(SYS_readlink), always(SYS_readlinkat),
    always(SYS_getdents64), always(SYS_ftruncate), always(SYS_fallocate), always(SYS_fsync),
    always(SYS_fdatasync), always(SYS_sync_file_range), always(SYS_flock),
    only(SYS_fcntl, 1, F_DUPFD_CLOEXEC), only(SYS_fcntl, 1, F_GETFD), only(SYS_fcntl, 1, F_SETFD),
    only(SYS_fcntl, 1, F_GETFL), only(SYS_fcntl, 1, F_SETFL), only(SYS_fcntl, 1, F_ADD_SEALS),
    only(SYS_fcntl, 1, F_GET_SEALS), only(SYS_fcntl, 1, F_SETLEASE), only(SYS_fcntl, 1, F_OFD_SETLK),
    only(SYS_fcntl, 1, F_OFD_GETLK),
    // to say why it ends, and to leave a terminal as it was
    only(SYS_ioctl, 1, TCGETS), only(SYS_ioctl, 1, TCSETS), only(SYS_ioctl, 1, TCSETSW),
    only(SYS_ioctl, 1, TCSETSF), only(SYS_ioctl, 1, TIOCGPGRP), only(SYS_ioctl, 1, TIOCGWINSZ),
    only(SYS_ioctl, 1, FIONBIO), only(SYS_ioctl, 1, FIONREAD)};

// The second byte of a request's number says whose it is.
constexpr std::uint64_t kWhose = 0xff00;
constexpr std::uint64_t kKvm = 0xae00;
constexpr std::uint64_t kUserfaultfd = 0xaa00;
constexpr std::uint64_t kVfio = ';' << 8;
constexpr std::uint64_t kBlockDevice = 0x1200;
constexpr std::uint64_t kPagemapScan = 0xc0606610;
// linux/if_tun.h: offloads and header sizes of an interface that is there already.
constexpr std::uint64_t kTunSetOffload = 0x400454d0;
constexpr std::uint64_t kTunSetHeaderSize = 0x400454d8;
constexpr std::uint64_t kTunSetQueue = 0x400454d9;

/// Whoever runs the guest, or touches memory or devices of it: each of them may have to bring a page.
constexpr std::array kMachine = {only(SYS_ioctl, 1, kKvm, kWhose), only(SYS_ioctl, 1, kUserfaultfd, kWhose),
                                 only(SYS_ioctl, 1, kVfio, kWhose), only(SYS_ioctl, 1, kPagemapScan)};

constexpr std::array kRings = {always(SYS_io_uring_setup), always(SYS_io_uring_enter),
                               always(SYS_io_uring_register)};

/// Sockets that are there already, and those that come in by them.
constexpr std::array kSockets = {always(SYS_accept4),     always(SYS_sendmsg),    always(SYS_recvmsg),
                                 always(SYS_sendto),      always(SYS_recvfrom),   always(SYS_shutdown),
                                 always(SYS_getsockopt),  always(SYS_setsockopt), always(SYS_getsockname),
                                 always(SYS_getpeername), always(SYS_unlink),     always(SYS_unlinkat)};

constexpr std::array kToUnixSockets = {only(SYS_socket, 0, AF_UNIX), always(SYS_connect)};

/// Frozen memory is opened a second time, for reading. What makes or changes a file stays out.
constexpr int kTemporaryFile = O_TMPFILE & ~O_DIRECTORY;
constexpr Call kReadFiles = only(SYS_openat, 2, 0, O_ACCMODE | O_CREAT | O_TRUNC | kTemporaryFile);
/// Libraries look into files that they can do without: malloc, when it gives memory back, into
/// /proc/sys/vm/overcommit_memory.
constexpr Call kReadNoFiles = {kReadFiles.number, kReadFiles.only, Verdict::Refuse};

/// A fork gets a disk of its own, a checkpoint a copy: a file without a name beside the image, as a reflink
/// or a copy.
constexpr std::uint64_t kReflink = 0x40049409;  // linux/fs.h: FICLONE
constexpr std::array kDiskCopies = {only(SYS_openat, 2, kTemporaryFile, O_CREAT | O_TRUNC | kTemporaryFile),
                                    only(SYS_ioctl, 1, kReflink), always(SYS_copy_file_range),
                                    always(SYS_utimensat)};

constexpr std::array kDevices = {only(SYS_ioctl, 1, kBlockDevice, kWhose),
                                 only(SYS_ioctl, 1, kTunSetOffload),
                                 only(SYS_ioctl, 1, kTunSetHeaderSize),
                                 only(SYS_ioctl, 1, kTunSetQueue),
                                 always(SYS_copy_file_range),
                                 always(SYS_recvmmsg),
                                 always(SYS_sendmmsg)};

/// Doors between a debugger and the copies it follows; the copies that it has asked for.
constexpr std::array kSocketPairs = {only(SYS_socketpair, 0, AF_UNIX)};
constexpr std::array kDumps = {only(SYS_openat, 2, 0, 0), always(SYS_mkdir), always(SYS_mkdirat)};
/// Snapshots, metrics and disks that a client names, copies of disks among them. Not to be joined with a list
/// that has openat in some ways only: these would be all of its ways.
constexpr std::array kAnyFiles = {
    always(SYS_openat),           always(SYS_mkdir),           always(SYS_mkdirat),
    always(SYS_rename),           always(SYS_renameat),        always(SYS_renameat2),
    always(SYS_access),           always(SYS_faccessat),       always(SYS_faccessat2),
    always(SYS_linkat),           always(SYS_chmod),           always(SYS_fchmod),
    only(SYS_ioctl, 1, kReflink), always(SYS_copy_file_range), only(SYS_ioctl, 1, kBlockDevice, kWhose),
    always(SYS_utimensat)};

/// A try of what KVM can do for a debugger, with a watchdog.
constexpr std::array kTrial = {always(SYS_timer_create), always(SYS_timer_settime), always(SYS_timer_delete)};

/// Helper processes are ended by descriptors that set-up has made of them.
constexpr std::array kHelpers = {always(SYS_pidfd_send_signal), only(SYS_waitid, 0, P_PIDFD)};

/// The machine's end removes its sockets.
constexpr std::array kEnd = {always(SYS_unlink), always(SYS_unlinkat)};

/// Of the longest list, about.
constexpr std::size_t kMostCalls = 160;

void add(std::span<const Call> some, std::vector<Call>& all) {
  all.insert(all.end(), some.begin(), some.end());
}

}  // namespace

std::vector<Call> calls_of(ThreadKind kind, Rings rings, pid_t self) {
  const auto pid = static_cast<std::uint64_t>(self);
  std::vector<Call> all;
  all.reserve(kMostCalls);
  add(kCommon, all);
  // Kicks go from thread to thread; a pidfd of its own gives pages back.
  add(std::array{only(SYS_tgkill, 0, pid), only(SYS_pidfd_open, 0, pid)}, all);
  add(kMachine, all);
  const bool has_files = kind == ThreadKind::Control || kind == ThreadKind::Debugger;
  if (kind != ThreadKind::Api) all.push_back(has_files ? kReadFiles : kReadNoFiles);
  if (rings == Rings::Swap || kind == ThreadKind::DeviceWorker) add(kRings, all);
  switch (kind) {
    case ThreadKind::Vcpu:
    case ThreadKind::Faults:
    case ThreadKind::Reclaim:
      break;
    case ThreadKind::DeviceWorker:
      add(kSockets, all);
      add(kToUnixSockets, all);
      add(kDevices, all);
      add(kHelpers, all);
      break;
    case ThreadKind::Io:
      add(kEnd, all);
      add(kHelpers, all);
      // Ctrl-Z.
      add(std::array{only(SYS_kill, 0, pid)}, all);
      break;
    case ThreadKind::Control:
      add(kSockets, all);
      add(kSocketPairs, all);
      add(kDiskCopies, all);
      break;
    case ThreadKind::Api:
      add(kSockets, all);
      add(kSocketPairs, all);
      add(kToUnixSockets, all);
      add(kAnyFiles, all);
      break;
    case ThreadKind::Debugger:
      add(kSockets, all);
      add(kSocketPairs, all);
      add(kDiskCopies, all);
      add(kToUnixSockets, all);
      add(kDumps, all);
      add(kTrial, all);
      break;
  }
  return all;
}

}  // namespace vmm::confine

#include "vmm/confine/confinement.h"

#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <optional>

#include "ept/host/pagemap.h"
#include "ept/host/tmpfs.h"
#include "vmm/confine/filter.h"
#include "vmm/confine/landlock.h"
#include "vmm/confine/last_words.h"
#include "vmm/confine/open_files.h"
#include "vmm/log.h"

namespace vmm::confine {

using uvm::Error;
using uvm::ErrorKind;

namespace {

/// Written by set_up() before there are other threads.
struct Process {
  std::atomic<bool> ready{false};
  Seccomp seccomp = Seccomp::Off;
  Rings rings = Rings::None;
  std::optional<Ruleset> files;
  std::optional<Ruleset> control_files;
  std::optional<Ruleset> debugger_files;

  [[nodiscard]] const std::optional<Ruleset>& files_of(ThreadKind kind) const {
    static const std::optional<Ruleset> kAll;  // no fence
    if (kind == ThreadKind::Api) return kAll;
    if (kind == ThreadKind::Control) return control_files;
    return kind == ThreadKind::Debugger ? debugger_files : files;
  }
};

Process& process() {
  static Process instance;
  return instance;
}

uvm::Status check_seccomp() {
  const std::uint32_t action = SECCOMP_RET_TRAP;
  if (::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0) return uvm::ok();
  return Error(ErrorKind::Unsupported, "this kernel has no seccomp filters", "run with --seccomp off");
}

uvm::Status prepare_landlock(const MachineConfig& config) {
  const unsigned version = Ruleset::host_version();
  if (version == 0) {
    log::event(log::Level::Debug, "this kernel has no Landlock; files are not confined");
    return uvm::ok();
  }
  UVMM_TRY(process().files, Ruleset::create(path_rules(config, ThreadKind::Io), version));
  UVMM_TRY(process().control_files, Ruleset::create(path_rules(config, ThreadKind::Control), version));
  UVMM_TRY(process().debugger_files, Ruleset::create(path_rules(config, ThreadKind::Debugger), version));
  return uvm::ok();
}

uvm::Status try_to_enter(ThreadKind kind) {
  Process& here = process();
  set_this_thread(kind);
  ept::host::open_pagemap();
  // A thread that was there before set_up() has not heard of it.
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return Error::from_errno(errno, "giving up new privileges");
  }
  if (const auto& files = here.files_of(kind)) UVMM_CHECK(files->restrict_this_thread());
  if (here.seccomp == Seccomp::Off) return uvm::ok();
  return install(compile(calls_of(kind, here.rings, ::getpid()), here.seccomp));
}

}  // namespace

uvm::Status set_up(const MachineConfig& config, void (*before_end)()) {
  Process& here = process();
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return Error::from_errno(errno, "giving up new privileges");
  }
  ::tzset();  // reads a file at the first use of local time, which may come too late
  here.seccomp = config.confinement.seccomp;
  here.rings = config.overcommit.limit != 0 ? Rings::Swap : Rings::None;
  if (here.seccomp != Seccomp::Off) {
    UVMM_CHECK(check_seccomp());
    UVMM_CHECK(install_last_words(before_end));
  }
  if (config.confinement.landlock == Landlock::On) UVMM_CHECK(prepare_landlock(config));
  here.ready = true;
  return uvm::ok();
}

uvm::Status let_reopen_files() {
  // Copies of many pages lie in files of the kind that RAM has. No thread that is confined may mount what
  // they are on, with Landlock or without.
  const auto root = ept::host::huge_files_root();
  const Process& here = process();
  if (!here.files) return uvm::ok();
  if (root) {
    UVMM_CHECK(here.control_files->let_make_files(*root));
    UVMM_CHECK(here.debugger_files->let_make_files(*root));
  }
  return for_each_open_file([&](int fd, const struct stat& /*info*/) -> uvm::Status {
    // Nobody else opens anything.
    UVMM_CHECK(here.control_files->let_reopen(fd));
    return here.debugger_files->let_reopen(fd);
  });
}

void enter(ThreadKind kind) {
  if (!process().ready) return;
  const auto entered = try_to_enter(kind);
  if (entered) return;
  std::fprintf(stderr, "uvmm: confining its %s thread: %s\n", to_string(kind),
               entered.error().text().c_str());
  ::_exit(static_cast<int>(ExitStatus::Internal));
}

}  // namespace vmm::confine

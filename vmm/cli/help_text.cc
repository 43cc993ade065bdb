#include "vmm/cli/help_text.h"

#include "version.h"

namespace vmm::cli {

std::string version_text() {
  return "uvmm " UVMM_VERSION " (commit " UVMM_COMMIT ")\n";
}

std::string overview_text() {
  return R"(uvmm runs guests on KVM whose memory is a virtual-memory system.

Usage: uvmm VERB [OPTIONS]

Verbs:
  run              run a guest in the foreground, its console on this terminal
  fork             run copies of a running machine, which goes on
  snapshot         write a running machine into a directory; run --restore goes on from there
  checkpoint       remember what a running machine is; reset makes it that again, drop forgets it
  reset
  drop
  pause            stop a running machine for a while; resume lets it go on
  resume
  status           what a running machine is, as JSON
  balloon          how much memory a running machine is to give back, and what it has given
  quit             end a running machine
  list             the machines that run here; tree shows who was forked from whom
  tree
  top              the same with what they do, once a second
  ctl              ask a machine's API (run --api-socket): status, map, fork, events, …
  doctor           tell what this host can do, and what uvmm will use
  list-builtins    list the built-in guests
  completion       print a completion script for bash, zsh or fish
  man              print the manual page

  -h, --help       this text; behind a verb, the verb's own
  -V, --version    version and commit
)";
}

std::string closing_text() {
  return R"(
On a terminal the console is raw: Ctrl-A x leaves, Ctrl-A h tells more.
-kernel, -initrd, -append, -smp, -nographic and -name are taken as QEMU spells them.

Examples:
  uvmm run -k bzImage -i initramfs.cpio.gz -p "console=ttyS0" -m 2G -c 4
  uvmm run --config configs/default.json             the default guest, after ./dev build
  uvmm run --config configs/default.json -m 4G       the same with more memory
  uvmm run -k vmlinux -m 512 --dry-run               what would be run, as JSON
  uvmm run --builtin memwalk --builtin-args "passes=2" -m 1G --show-map
  uvmm doctor --can-boot-linux && uvmm run -k bzImage -p "console=ttyS0"

Exit status of run:
  0    the guest powered off or reset, or you left the console
  2    the command line, the configuration, the kernel or the initrd is not right
  4    the guest crashed the processor (triple fault)
  6    KVM or uvmm failed
  8    no usable /dev/kvm on this host
  10   a thread of uvmm did what it may not (--seccomp)
  odd  the guest wrote V to port 0xf4: V*2+1 (any status with --debug-exit plain)
  128+N  signal N ended it
)";
}

}  // namespace vmm::cli

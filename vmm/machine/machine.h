// One virtual machine from configuration to exit status.
#pragma once

#include <memory>
#include <string>

#include "uvm/base/error.h"
#include "uvm/space.h"
#include "vmm/machine/config.h"

namespace vmm {

namespace gdb {
class Target;
}

/// How a run ended.
struct RunReport {
  int status = 0;       // the exit status of `uvmm run`
  std::string summary;  // one line; empty when the guest ended as guests do
};

/// Owns everything of a guest: VM, memory, vCPUs, devices, console. Its parts and their order of shutdown are
/// told in vmm/vmm.h. Create and run on the same thread, which becomes the I/O thread.
class Machine {
 public:
  /// Builds the machine up to, not including, its first instruction. Refuses before it creates: a bad kernel,
  /// initrd or size never leaves a half-made VM. Errors as the parts give them, with file or option named;
  /// kinds NotFound and Permission for "/dev/kvm" mean that there is no usable host.
  [[nodiscard]] static uvm::Result<std::unique_ptr<Machine>> create(const MachineConfig& config);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  /// Runs the guest until it powers off, resets, crashes, leaves through the debug-exit port, or somebody
  /// leaves the console; then stops every vCPU and drains the console. Once only. SIGUSR1 prints the memory
  /// map on stderr, SIGTERM, SIGINT and SIGHUP end the run with 128 + the signal's number.
  [[nodiscard]] uvm::Result<RunReport> run();

  /// Ends the run as leaving the console does. Any thread, before run() too.
  void stop();

  /// The guest's space as `--show-map` prints it. Any thread.
  [[nodiscard]] std::string memory_map() const;
  /// Guest memory, for whoever works on it while the guest runs. Any thread; as long as the machine lives.
  [[nodiscard]] uvm::Space& space();

  /// What a debugger works on. Use it from one thread at a time, any, as long as the machine lives; after
  /// run() has returned it is an empty shell. See vmm/gdb/target.h.
  [[nodiscard]] gdb::Target& debug_target();
  /// Before run(): no instruction is executed until a debugger lets the guest go.
  void start_stopped();

  struct Parts;

 private:
  explicit Machine(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace vmm

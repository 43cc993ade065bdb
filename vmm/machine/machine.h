// One virtual machine from configuration to exit status.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "uvm/base/error.h"
#include "uvm/space.h"
#include "vmm/machine/config.h"

namespace vmm {

namespace gdb {
class Target;
}
namespace control {
struct Environment;
}

class Checkpoints;
class MachineShell;
struct MachineImage;

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
  /// One that goes on where another was: what `config` says of a kernel does not count, and the rest has to
  /// fit (MachineShape::applied_to). Errors: as create() and restore_state().
  [[nodiscard]] static uvm::Result<std::unique_ptr<Machine>> create_from(const MachineConfig& config,
                                                                         const MachineImage& image);
  /// `shell` was made ahead of time and is used if it fits; null: as above.
  [[nodiscard]] static uvm::Result<std::unique_ptr<Machine>> create_from(const MachineConfig& config,
                                                                         const MachineImage& image,
                                                                         std::unique_ptr<MachineShell> shell);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  /// Runs the guest until it powers off, resets, crashes, leaves through the debug-exit port, or somebody
  /// leaves the console; then stops every vCPU and drains the console. Once only. SIGUSR1 prints the memory
  /// map on stderr, SIGTERM, SIGINT and SIGHUP end the run with 128 + the signal's number.
  [[nodiscard]] uvm::Result<RunReport> run();

  /// Ends the run as leaving the console does. Any thread, before run() too.
  void stop();

  /// What may be done with the machine from outside while it runs. As long as it lives; after run() has
  /// returned nothing of it may be used.
  [[nodiscard]] const control::Environment& doors() const;
  /// Called once when the run ends and before the vCPUs do: whoever uses doors() has let go when it returns.
  /// Before run().
  void set_at_end(std::function<void()> at_end);

  /// The guest's space as `--show-map` prints it. Any thread.
  [[nodiscard]] std::string memory_map() const;
  /// No vCPU is in the guest, nor will be before the same number of resume(). Nests. Any thread but a
  /// vCPU's; resume() never waits.
  void pause();
  void resume();
  /// All of the machine but its memory (machine_state.h), as it is now; the machine is paused, or has not
  /// run. Errors: Unsupported (a device that can't be taken along), the kernel's.
  [[nodiscard]] uvm::Result<std::vector<std::byte>> save_state();
  /// Makes that the state of this machine, which is paused or has not run, and whose memory is the caller's
  /// to restore; the guest is not told. Errors: Invalid (damaged, foreign, or of a machine of another shape),
  /// Unsupported; the machine is of no use then.
  [[nodiscard]] uvm::Status restore_state(std::span<const std::byte> state);

  /// The machine at this moment, and moments to bring it back to. Any thread but a vCPU's; as long as the
  /// machine lives. See machine_image.h, checkpoints.h.
  [[nodiscard]] uvm::Result<MachineImage> take_image();
  [[nodiscard]] Checkpoints& checkpoints();

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

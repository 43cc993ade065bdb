// The default guest with an open debugger's door: on this host's KVM where that runs Linux, else in the rig.
// The debugger itself is always outside of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/background_process.h"
#include "tests/support/process.h"

namespace test {

/// Why there is no such guest to debug here; empty when there is.
[[nodiscard]] std::string no_linux_to_debug();

/// The first of these programs that can be run; empty when none can.
[[nodiscard]] std::string first_installed(const std::vector<std::string>& programs);
/// Whether nobody listens at this port of the loopback.
[[nodiscard]] bool is_free_port(std::uint16_t port);

/// The symbols of its kernel.
[[nodiscard]] std::string linux_symbols();

/// Boots in its constructor; everybody who waits does so for minutes at most.
class LinuxGuest {
 public:
  /// `script` is what its shell runs. 4 vCPUs; KPTI is on and KASLR as the kernel has it.
  explicit LinuxGuest(const std::string& script);

  /// Whether the script has begun.
  [[nodiscard]] bool is_up();
  /// Whether it prints `text` from now on.
  [[nodiscard]] bool will_print(const std::string& text);
  [[nodiscard]] std::string output() const { return process_->output(); }
  /// HOST:PORT
  [[nodiscard]] const std::string& address() const { return address_; }

  /// gdb (or another `program` that is one) with the kernel's symbols, connected; then `commands`. What it
  /// printed.
  [[nodiscard]] std::string gdb(const std::vector<std::string>& commands,
                                const std::string& program = "gdb") const;

 private:
  std::string address_;
  std::unique_ptr<BackgroundProcess> process_;
};

}  // namespace test

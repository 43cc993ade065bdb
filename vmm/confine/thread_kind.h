// What a thread of a machine's process is for, which says what it may ask of the kernel.
#pragma once

#include <cstdint>

namespace vmm::confine {

enum class ThreadKind : std::uint8_t {
  Vcpu,          // runs the guest
  Faults,        // resolves stage-2 faults
  Reclaim,       // moves pages to swap
  DeviceWorker,  // serves a device's queues
  Io,            // the first thread: console, signals, and the machine's end
  Control,       // serves the control socket or the pin socket
  Debugger,      // serves gdb
  Api,           // serves the API, whose clients name the files
};

/// In messages: "vcpu", "device worker".
[[nodiscard]] const char* to_string(ThreadKind kind);

}  // namespace vmm::confine

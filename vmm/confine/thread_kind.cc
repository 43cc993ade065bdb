#include "vmm/confine/thread_kind.h"

namespace vmm::confine {

const char* to_string(ThreadKind kind) {
  switch (kind) {
    case ThreadKind::Vcpu:
      return "vcpu";
    case ThreadKind::Faults:
      return "faults";
    case ThreadKind::Reclaim:
      return "reclaim";
    case ThreadKind::DeviceWorker:
      return "device worker";
    case ThreadKind::Io:
      return "I/O";
    case ThreadKind::Control:
      return "control";
    case ThreadKind::Debugger:
      return "debugger";
    case ThreadKind::Api:
      return "API";
  }
  return "?";
}

}  // namespace vmm::confine

// What one connection has agreed on and selected; every command works on this.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/gdb/packet_writer.h"
#include "vmm/gdb/register_map.h"
#include "vmm/gdb/target.h"
#include "vmm/gdb/thread_selector.h"
#include "vmm/gdb/wire.h"

namespace vmm::gdb {

/// How this client wants its errors.
enum class ErrorStyle : std::uint8_t {
  Number,      // E0e: gdb before 15
  Text,        // E.message: gdb that announced error-message+
  NumberText,  // E0e;hex of the message: lldb after QEnableErrorStrings
};

struct ClientFeatures {
  bool multiprocess = false;
  bool software_breakpoints = false;  // understands swbreak in a stop reply
  bool hardware_breakpoints = false;  // hwbreak
  bool extended = false;              // `!`: stays connected without a machine
  bool fork_events = false;           // wants to be told of copies
  std::string announced;              // all of it, as qSupported had it
};

struct SessionContext {
  SessionContext(Target& its_target, Wire& its_wire) : target(its_target), wire(its_wire), out(its_wire) {}

  Target& target;
  Wire& wire;
  PacketWriter out;
  ClientFeatures client;
  ErrorStyle errors = ErrorStyle::Number;

  // From attach() on.
  RegisterMap registers{XsaveLayout{}};
  std::string description;  // target.xml
  ThreadId thread;          // Hg: whose registers and addresses are meant
  ThreadSelector resumed;   // Hc: whom c and s mean
  StopEvent last_stop;
  bool physical = false;  // qemu.PhyMemMode
  StepFlags step_flags = StepFlags::Default;

  [[nodiscard]] AddressSpace space() const {
    return {physical ? AddressSpace::Kind::Physical : AddressSpace::Kind::Virtual, thread};
  }
  [[nodiscard]] ThreadForm thread_form() const {
    return client.multiprocess ? ThreadForm::Multiprocess : ThreadForm::Plain;
  }
};

/// A reply's payload, binary parts escaped. Empty means: not supported.
using Reply = std::string;

/// `error` in the client's style.
[[nodiscard]] Reply error_reply(const SessionContext& context, const uvm::Error& error);
/// For a packet whose arguments are wrong; `what` says which.
[[nodiscard]] Reply malformed(const SessionContext& context, std::string_view what);
/// "OK", or the error.
[[nodiscard]] Reply status_reply(const SessionContext& context, const uvm::Status& status);

/// Text for the debugger's console, in as many `O` packets as it needs. Only while an answer is awaited that
/// allows it: of qRcmd, or of a resume.
void send_console(SessionContext& context, std::string_view text);

}  // namespace vmm::gdb

#include "vmm/gdb/stop_reply.h"

#include <array>
#include <vector>

#include "vmm/gdb/hex.h"

namespace vmm::gdb {
namespace {

constexpr std::uint8_t kSigint = 2;
constexpr std::uint8_t kSigtrap = 5;

std::uint8_t signal_of(const StopEvent& event) {
  if (event.reason == StopReason::Interrupted) return kSigint;
  return event.reason == StopReason::Signal ? event.signal : kSigtrap;
}

std::string byte_digits(unsigned value) {
  const auto byte = static_cast<std::byte>(value);
  std::string digits;
  append_hex(digits, {&byte, 1});
  return digits;
}

/// "swbreak:;" and the like; a client that hasn't announced the word doesn't get it.
std::string reason_of(const SessionContext& context, const StopEvent& event) {
  switch (event.reason) {
    case StopReason::SoftwareBreakpoint:
      return context.client.software_breakpoints ? "swbreak:;" : "";
    case StopReason::HardwareBreakpoint:
      return context.client.hardware_breakpoints ? "hwbreak:;" : "";
    case StopReason::WriteWatch:
      return "watch:" + hex_number(event.address) + ";";
    case StopReason::AccessWatch:
      return "awatch:" + hex_number(event.address) + ";";
    case StopReason::Forked:
      return "fork:" + format_thread(event.child, ThreadForm::Multiprocess) + ";";
    case StopReason::Interrupted:
    case StopReason::Step:
    case StopReason::Signal:
    case StopReason::Exited:
      return "";
  }
  return "";
}

/// Numbers in core's order, which never changes: rbp, rsp, rip.
std::string expedited(SessionContext& context, ThreadId thread) {
  constexpr std::array<std::uint16_t, 3> kNumbers = {0x06, 0x07, 0x10};
  RegisterFile file;
  if (!context.target.read_registers(thread, RegisterGroups::General, file)) return {};
  std::string text;
  for (const std::uint16_t number : kNumbers) {
    const RegisterSpec* spec = context.registers.find(number);
    if (spec == nullptr) continue;
    std::vector<std::byte> value;
    append_register(value, *spec, file);
    text += byte_digits(number) + ":";
    append_hex(text, value);
    text += ";";
  }
  return text;
}

}  // namespace

Reply stop_reply(SessionContext& context, const StopEvent& event) {
  if (event.reason == StopReason::Exited) {
    Reply reply = "W" + byte_digits(static_cast<unsigned>(event.status) & 0xffU);
    if (context.client.multiprocess) reply += ";process:" + hex_number(event.thread.pid);
    return reply;
  }
  return "T" + byte_digits(signal_of(event)) + expedited(context, event.thread) +
         "thread:" + format_thread(event.thread, context.thread_form()) +
         ";core:" + hex_number(event.thread.tid - 1) + ";" + reason_of(context, event);
}

}  // namespace vmm::gdb

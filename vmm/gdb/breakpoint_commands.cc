// Z and z: breakpoints and watchpoints.
//
// What a host can't do is an error with its reason. Only Z3 is "not supported": x86 has no watchpoint for
// reads alone, and a debugger then uses an access watchpoint. To answer Z0 so would be worse than useless:
// the debugger would write the trap into memory itself.
#include <array>

#include "vmm/gdb/commands.h"
#include "vmm/gdb/hex.h"

namespace vmm::gdb {
namespace {

using Change = uvm::Status (Target::*)(AddressSpace, const Breakpoint&);

Reply change(SessionContext& context, std::string_view arguments, Change how) {
  Scanner scanner(arguments);
  const auto kind = scanner.number();
  if (!kind || !scanner.take(',')) return malformed(context, "Z wants type,address,kind");
  if (*kind > static_cast<std::uint64_t>(BreakpointKind::AccessWatch)) return {};
  Breakpoint breakpoint;
  breakpoint.kind = static_cast<BreakpointKind>(*kind);
  if (breakpoint.kind == BreakpointKind::ReadWatch) return {};
  const auto address = scanner.number();
  if (!address || !scanner.take(',')) return malformed(context, "Z wants type,address,kind");
  const auto length = scanner.number();
  // Conditions and commands follow a semicolon; they have not been offered.
  if (!length || !scanner.at_end()) return malformed(context, "Z wants type,address,kind and nothing else");
  breakpoint.address = *address;
  breakpoint.length = *length;
  return status_reply(context, (context.target.*how)(context.space(), breakpoint));
}

Reply insert(SessionContext& context, std::string_view arguments) {
  return change(context, arguments, &Target::insert_breakpoint);
}
Reply remove(SessionContext& context, std::string_view arguments) {
  return change(context, arguments, &Target::remove_breakpoint);
}

constexpr std::array kBreakpointCommands = {Command{"Z", insert}, Command{"z", remove}};

}  // namespace

std::span<const Command> breakpoint_commands() {
  return kBreakpointCommands;
}

}  // namespace vmm::gdb

// g G p P: registers of the selected thread.
#include <array>
#include <vector>

#include "vmm/gdb/commands.h"
#include "vmm/gdb/hex.h"

namespace vmm::gdb {
namespace {

Reply read_all(SessionContext& context, std::string_view arguments) {
  if (!arguments.empty()) return malformed(context, "g takes no arguments");
  RegisterFile file;
  const auto done = context.target.read_registers(context.thread, context.registers.general_groups(), file);
  if (!done) return error_reply(context, done.error());
  std::vector<std::byte> bytes;
  bytes.reserve(context.registers.general_bytes());
  for (const RegisterSpec& spec : context.registers.general()) append_register(bytes, spec, file);
  Reply reply;
  append_hex(reply, bytes);
  return reply;
}

/// The groups of those registers whose value in `fresh` differs; they have been changed in `file`.
uvm::Result<RegisterGroups> merge(const SessionContext& context, std::span<const std::byte> fresh,
                                  RegisterFile& file) {
  RegisterGroups changed = RegisterGroups::None;
  for (const RegisterSpec& spec : context.registers.general()) {
    std::vector<std::byte> old;
    append_register(old, spec, file);
    const auto value = fresh.first(spec.bytes());
    fresh = fresh.subspan(spec.bytes());
    if (std::equal(old.begin(), old.end(), value.begin())) continue;
    UVMM_CHECK(set_register(spec, value, file));
    changed = changed | spec.groups();
  }
  return changed;
}

/// Only what has changed is written: a debugger sends back all it has read to change one register, and a
/// processor takes less back than it shows.
Reply write_all(SessionContext& context, std::string_view arguments) {
  std::vector<std::byte> fresh(context.registers.general_bytes());
  if (!decode_hex(arguments, fresh)) return malformed(context, "G wants exactly what g gives");
  const RegisterGroups groups = context.registers.general_groups();
  RegisterFile file;
  if (const auto done = context.target.read_registers(context.thread, groups, file); !done)
    return error_reply(context, done.error());
  const auto changed = merge(context, fresh, file);
  if (!changed) return error_reply(context, changed.error());
  if (*changed == RegisterGroups::None) return "OK";
  return status_reply(context, context.target.write_registers(context.thread, *changed, file));
}

Reply read_one(SessionContext& context, std::string_view arguments) {
  Scanner scanner(arguments);
  const auto number = scanner.number();
  if (!number || !scanner.at_end()) return malformed(context, "p wants a register's number");
  const RegisterSpec* spec = context.registers.find(*number);
  if (spec == nullptr) return malformed(context, "no register has this number");
  RegisterFile file;
  const auto done = context.target.read_registers(context.thread, spec->groups(), file);
  if (!done) return error_reply(context, done.error());
  std::vector<std::byte> bytes;
  append_register(bytes, *spec, file);
  Reply reply;
  append_hex(reply, bytes);
  return reply;
}

Reply write_one(SessionContext& context, std::string_view arguments) {
  Scanner scanner(arguments);
  const auto number = scanner.number();
  if (!number || !scanner.take('=')) return malformed(context, "P wants number=value");
  const RegisterSpec* spec = context.registers.find(*number);
  if (spec == nullptr) return malformed(context, "no register has this number");
  std::vector<std::byte> value(spec->bytes());
  if (!decode_hex(scanner.rest(), value)) return malformed(context, "the value has not the register's size");
  // A selector's fate depends on cr0.
  const RegisterGroups groups = spec->groups();
  RegisterFile file;
  if (const auto done = context.target.read_registers(context.thread, groups, file); !done)
    return error_reply(context, done.error());
  if (const auto done = set_register(*spec, value, file); !done) return error_reply(context, done.error());
  if (groups == RegisterGroups::None) return "OK";
  return status_reply(context, context.target.write_registers(context.thread, groups, file));
}

constexpr std::array kCommands = {
    Command{"g", read_all},
    Command{"G", write_all},
    Command{"p", read_one},
    Command{"P", write_one},
};

}  // namespace

std::span<const Command> register_commands() {
  return kCommands;
}

}  // namespace vmm::gdb

// g G p P: registers of the selected thread.
#include <algorithm>
#include <array>
#include <string>
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

using Specs = std::vector<const RegisterSpec*>;

/// As a debugger is shown it, lowest byte first.
std::vector<std::byte> bytes_of_register(const RegisterSpec& spec, const RegisterFile& file) {
  std::vector<std::byte> bytes;
  append_register(bytes, spec, file);
  return bytes;
}

/// Whether `now` is what writing `wanted` leads to on a processor that obeys.
bool is_taken(const RegisterSpec& spec, const RegisterFile& wanted, const RegisterFile& now) {
  constexpr std::uint64_t kAlwaysOne = 2;
  if (spec.source == RegisterSource::Rflags) return ((wanted.rflags ^ now.rflags) & ~kAlwaysOne) == 0;
  // Its target has looked already: it has gone on since.
  if (spec.groups() == RegisterGroups::Counter) return true;
  return bytes_of_register(spec, wanted) == bytes_of_register(spec, now);
}

/// KVM, or the processor, says yes to values that it then does not keep: MSRs of features that the guest does
/// not have, fixed bits. So what was written is looked at again.
uvm::Status write_and_check(SessionContext& context, const Specs& written, const RegisterFile& file) {
  RegisterGroups groups = RegisterGroups::None;
  for (const RegisterSpec* spec : written) groups = groups | spec->groups();
  if (groups == RegisterGroups::None) return uvm::ok();
  UVMM_CHECK(context.target.write_registers(context.thread, groups, file));
  RegisterFile now;
  UVMM_CHECK(context.target.read_registers(context.thread, groups, now));
  for (const RegisterSpec* spec : written) {
    if (is_taken(*spec, file, now)) continue;
    std::string value;
    const auto bytes = bytes_of_register(*spec, now);
    append_hex(value, std::vector<std::byte>(bytes.rbegin(), bytes.rend()));
    return uvm::Error(uvm::ErrorKind::Unsupported,
                      spec->name + " did not take the value: it is 0x" + value + " now",
                      "write what this processor can hold");
  }
  return uvm::ok();
}

/// Those registers whose value in `fresh` differs; they have been changed in `file`.
uvm::Result<Specs> merge(const SessionContext& context, std::span<const std::byte> fresh,
                         RegisterFile& file) {
  Specs changed;
  for (const RegisterSpec& spec : context.registers.general()) {
    const auto value = fresh.first(spec.bytes());
    fresh = fresh.subspan(spec.bytes());
    if (std::ranges::equal(bytes_of_register(spec, file), value)) continue;
    UVMM_CHECK(set_register(spec, value, file));
    changed.push_back(&spec);
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
  return status_reply(context, write_and_check(context, *changed, file));
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
  Reply reply;
  append_hex(reply, bytes_of_register(*spec, file));
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
  RegisterFile file;
  if (const auto done = context.target.read_registers(context.thread, spec->groups(), file); !done)
    return error_reply(context, done.error());
  if (const auto done = set_register(*spec, value, file); !done) return error_reply(context, done.error());
  return status_reply(context, write_and_check(context, {spec}, file));
}

constexpr std::array kRegisterCommands = {
    Command{"g", read_all},
    Command{"G", write_all},
    Command{"p", read_one},
    Command{"P", write_one},
};

}  // namespace

std::span<const Command> register_commands() {
  return kRegisterCommands;
}

}  // namespace vmm::gdb

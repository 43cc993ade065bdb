// What only a machine has: the monitor, the kernel's place, and the packets that QEMU made known.
#include <array>

#include "vmm/gdb/commands.h"
#include "vmm/gdb/hex.h"

namespace vmm::gdb {
namespace {

Reply run_monitor(SessionContext& context, std::string_view arguments) {
  Scanner scanner(arguments);
  const auto bytes = scanner.take(',') ? bytes_of_hex(scanner.rest()) : std::nullopt;
  if (!bytes) return malformed(context, "qRcmd wants digits");
  const std::string line(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  const auto done = context.target.monitor(
      context.thread, line, [&context](std::string_view text) { send_console(context, text); });
  if (done) return "OK";
  // Who only gets a number gets the reason as output.
  if (context.errors == ErrorStyle::Number) send_console(context, done.error().text() + "\n");
  return error_reply(context, done.error());
}

/// With TextSeg, gdb moves all sections of a vmlinux; with Text, Data and Bss it would leave some behind.
/// lldb moves all of them by whatever it is given, so that it has to be the distance.
Reply offsets(SessionContext& context, std::string_view /*arguments*/) {
  const auto text = context.target.kernel_text();
  if (!text) return {};
  const bool is_lldb = context.errors == ErrorStyle::NumberText;
  if (!is_lldb) return "TextSeg=" + hex_number(*text);
  const std::string moved = hex_number(*text - kLinkedKernelText);
  return "Text=" + moved + ";Data=" + moved;
}

Reply qemu_supported(SessionContext& /*context*/, std::string_view /*arguments*/) {
  return "sstepbits;sstep;PhyMemMode";
}

Reply step_bits(SessionContext& /*context*/, std::string_view /*arguments*/) {
  return "ENABLE=1,NOIRQ=2,NOTIMER=4";
}

Reply step_flags(SessionContext& context, std::string_view /*arguments*/) {
  return "0x" + hex_number(static_cast<std::uint64_t>(context.step_flags));
}

Reply set_step_flags(SessionContext& context, std::string_view arguments) {
  Scanner scanner(arguments);
  if (!scanner.take('=')) return malformed(context, "Qqemu.sstep wants =flags");
  static_cast<void>(scanner.take("0x"));
  const auto flags = scanner.number();
  if (!flags || !scanner.at_end() || *flags > static_cast<std::uint64_t>(StepFlags::Default))
    return malformed(context, "Qqemu.sstep takes 0 to 7");
  context.step_flags = static_cast<StepFlags>(*flags);
  context.target.set_step_flags(context.step_flags);
  return "OK";
}

Reply physical_mode(SessionContext& context, std::string_view /*arguments*/) {
  return context.physical ? "1" : "0";
}

Reply set_physical_mode(SessionContext& context, std::string_view arguments) {
  if (arguments != ":0" && arguments != ":1") return malformed(context, "Qqemu.PhyMemMode takes :0 or :1");
  context.physical = arguments == ":1";
  return "OK";
}

constexpr std::array kMachineCommands = {
    Command{"qRcmd", run_monitor},
    Command{"qOffsets", offsets},
    Command{"qqemu.Supported", qemu_supported},
    Command{"qqemu.sstepbits", step_bits},
    Command{"qqemu.sstep", step_flags},
    Command{"Qqemu.sstep", set_step_flags},
    Command{"qqemu.PhyMemMode", physical_mode},
    Command{"Qqemu.PhyMemMode", set_physical_mode},
};

}  // namespace

std::span<const Command> machine_commands() {
  return kMachineCommands;
}

}  // namespace vmm::gdb

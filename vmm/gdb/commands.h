// The packets that are answered at once, by name. What starts, stops or leaves the machine is the session's.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "vmm/gdb/session_context.h"

namespace vmm::gdb {

/// Whether a packet makes sense without an attached machine (after `D` of an extended client).
enum class Needs : std::uint8_t { Nothing, Machine };

struct Command {
  /// A single letter matches every packet that begins with it; a longer name the packet's name, up to the
  /// first of `:,;=`.
  std::string_view name;
  /// `arguments` begin behind the letter or the name, separator included.
  Reply (*answer)(SessionContext& context, std::string_view arguments);
  Needs needs = Needs::Machine;
};

// One table a subject, each in the file of that name.
[[nodiscard]] std::span<const Command> memory_commands();      // m M x X qSearch qCRC qMemoryRegionInfo
[[nodiscard]] std::span<const Command> register_commands();    // g G p P
[[nodiscard]] std::span<const Command> thread_commands();      // H T qC qfThreadInfo qThreadExtraInfo …
[[nodiscard]] std::span<const Command> breakpoint_commands();  // Z z
[[nodiscard]] std::span<const Command> feature_commands();     // qSupported qXfer qHostInfo …
[[nodiscard]] std::span<const Command> machine_commands();     // qRcmd qOffsets qemu.*

/// The command for `packet`, or null: then the reply is empty.
[[nodiscard]] const Command* find_command(std::string_view packet);
/// qXfer: the piece of `document` that "offset,length" asks for, `l` at its end, `m` before.
[[nodiscard]] Reply document_piece(const SessionContext& context, std::string_view document,
                                   std::string_view range);
/// A packet's name as Command::name has it.
[[nodiscard]] std::string_view packet_name(std::string_view packet);

}  // namespace vmm::gdb

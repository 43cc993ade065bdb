#include "vmm/gdb/commands.h"

#include <algorithm>
#include <array>

namespace vmm::gdb {

std::string_view packet_name(std::string_view packet) {
  constexpr std::string_view kNamed = "qQv";
  if (packet.empty() || kNamed.find(packet.front()) == std::string_view::npos) return packet.substr(0, 1);
  return packet.substr(0, packet.find_first_of(":,;="));
}

const Command* find_command(std::string_view packet) {
  const std::string_view name = packet_name(packet);
  for (const auto& table : {memory_commands(), register_commands(), thread_commands(), breakpoint_commands(),
                            feature_commands(), machine_commands()}) {
    const auto found = std::ranges::find(table, name, &Command::name);
    if (found != table.end()) return &*found;
  }
  return nullptr;
}

}  // namespace vmm::gdb

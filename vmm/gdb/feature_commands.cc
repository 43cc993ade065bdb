// What the two sides can do: qSupported and its relatives, and the documents that describe the machine.
#include <algorithm>
#include <array>
#include <optional>

#include "vmm/gdb/commands.h"
#include "vmm/gdb/hex.h"
#include "vmm/gdb/packet_reader.h"
#include "vmm/gdb/threads_xml.h"

namespace vmm::gdb {
namespace {

Reply supported(SessionContext& context, std::string_view arguments) {
  Scanner scanner(arguments);
  static_cast<void>(scanner.take(':'));
  while (!scanner.at_end()) {
    const std::string_view feature = scanner.until(';');
    if (feature == "multiprocess+") context.client.multiprocess = true;
    if (feature == "swbreak+") context.client.software_breakpoints = true;
    if (feature == "hwbreak+") context.client.hardware_breakpoints = true;
    if (feature == "fork-events+") context.client.fork_events = true;
    if (feature == "error-message+") context.errors = ErrorStyle::Text;
  }
  context.client.announced = std::string(arguments);
  return "PacketSize=" + hex_number(kPacketSize) +
         ";QStartNoAckMode+;multiprocess+;vContSupported+;swbreak+;hwbreak+;binary-upload+;"
         "fork-events+;qXfer:features:read+;qXfer:threads:read+";
}

/// lldb's way to ask for error texts.
Reply error_strings(SessionContext& context, std::string_view /*arguments*/) {
  context.errors = ErrorStyle::NumberText;
  return "OK";
}

Reply transfer(SessionContext& context, std::string_view arguments) {
  Scanner scanner(arguments);
  if (scanner.take(":features:read:")) {
    const std::string_view annex = scanner.until(':');
    if (annex != "target.xml") return malformed(context, "target.xml is the only description");
    return document_piece(context, context.description, scanner.rest());
  }
  if (scanner.take(":threads:read::")) return document_piece(context, threads_xml(context), scanner.rest());
  return {};
}

/// "x86_64-unknown-none": no operating system whose loader a debugger should look for.
constexpr std::string_view kTriple = "x86_64-unknown-none";

Reply host_info(SessionContext& /*context*/, std::string_view /*arguments*/) {
  return "triple:" + hex_text(kTriple) + ";endian:little;ptrsize:8;vm-page-size:4096;";
}

Reply process_info(SessionContext& context, std::string_view /*arguments*/) {
  return "pid:" + hex_number(context.thread.pid) + ";triple:" + hex_text(kTriple) +
         ";endian:little;ptrsize:8;";
}

Reply attached(SessionContext& /*context*/, std::string_view /*arguments*/) {
  return "1";
}

Reply unknown(SessionContext& /*context*/, std::string_view /*arguments*/) {
  return {};
}

Reply extend(SessionContext& context, std::string_view /*arguments*/) {
  context.client.extended = true;
  return "OK";
}

constexpr std::array kFeatureCommands = {
    Command{"qSupported", supported, Needs::Nothing},
    Command{"QEnableErrorStrings", error_strings, Needs::Nothing},
    Command{"qXfer", transfer},
    Command{"qHostInfo", host_info, Needs::Nothing},
    Command{"qProcessInfo", process_info},
    Command{"qAttached", attached},
    Command{"vMustReplyEmpty", unknown, Needs::Nothing},
    Command{"!", extend, Needs::Nothing},
};

}  // namespace

Reply document_piece(const SessionContext& context, std::string_view document, std::string_view range) {
  Scanner scanner(range);
  const auto offset = scanner.number();
  if (!offset || !scanner.take(',')) return malformed(context, "qXfer wants offset,length");
  const auto length = scanner.number();
  if (!length || !scanner.at_end()) return malformed(context, "qXfer wants offset,length");
  if (*offset > document.size()) return malformed(context, "qXfer's offset is behind the document's end");
  const auto at = static_cast<std::size_t>(*offset);
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(*length, document.size() - at));
  Reply reply = "m";
  const std::size_t taken = append_escaped(reply, bytes_of(document.substr(at, wanted)), kPacketSize - 5);
  if (at + taken == document.size()) reply.front() = 'l';
  return reply;
}

std::span<const Command> feature_commands() {
  return kFeatureCommands;
}

}  // namespace vmm::gdb

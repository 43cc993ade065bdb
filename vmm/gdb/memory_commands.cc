// m M x X: guest memory; qSearch, qCRC, qMemoryRegionInfo: questions about it.
//
// `x` is gdb's, not lldb's older packet of that letter: replies begin with `b`, and a read of no bytes gives
// a bare `b`, at which lldb before 20 goes back to `m`.
#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "vmm/gdb/commands.h"
#include "vmm/gdb/hex.h"
#include "vmm/gdb/memory_search.h"
#include "vmm/gdb/packet_reader.h"

namespace vmm::gdb {
namespace {

constexpr std::size_t kMostPayload = kPacketSize - 4;

struct Request {
  std::uint64_t address = 0;
  std::uint64_t length = 0;
};

/// "address,length".
std::optional<Request> scan_request(Scanner& scanner) {
  const auto address = scanner.number();
  if (!address || !scanner.take(',')) return std::nullopt;
  const auto length = scanner.number();
  if (!length) return std::nullopt;
  return Request{*address, *length};
}

uvm::Result<std::vector<std::byte>> read(SessionContext& context, const Request& request, std::size_t most) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(std::min<std::uint64_t>(request.length, most)));
  UVMM_TRY(const std::size_t got, context.target.read_memory(context.space(), request.address, bytes));
  bytes.resize(std::min(got, bytes.size()));
  return bytes;
}

Reply read_hex(SessionContext& context, std::string_view arguments) {
  Scanner scanner(arguments);
  const auto request = scan_request(scanner);
  if (!request || !scanner.at_end() || request->length == 0)
    return malformed(context, "m wants address,length");
  auto bytes = read(context, *request, kMostPayload / 2);
  if (!bytes) return error_reply(context, bytes.error());
  Reply reply;
  append_hex(reply, *bytes);
  return reply;
}

Reply read_binary(SessionContext& context, std::string_view arguments) {
  Scanner scanner(arguments);
  const auto request = scan_request(scanner);
  if (!request || !scanner.at_end()) return malformed(context, "x wants address,length");
  Reply reply = "b";
  if (request->length == 0) return reply;
  auto bytes = read(context, *request, kMostPayload);
  if (!bytes) return error_reply(context, bytes.error());
  reply.reserve(bytes->size() + bytes->size() / 16);
  append_escaped(reply, *bytes, kMostPayload - reply.size());
  return reply;
}

Reply write(SessionContext& context, const Request& request, std::span<const std::byte> bytes) {
  if (bytes.size() != request.length) return malformed(context, "data and length differ");
  if (bytes.empty()) return "OK";
  return status_reply(context, context.target.write_memory(context.space(), request.address, bytes));
}

Reply write_hex(SessionContext& context, std::string_view arguments) {
  Scanner scanner(arguments);
  const auto request = scan_request(scanner);
  if (!request || !scanner.take(':')) return malformed(context, "M wants address,length:digits");
  const auto bytes = bytes_of_hex(scanner.rest());
  if (!bytes) return malformed(context, "M's data are no digits");
  return write(context, *request, *bytes);
}

Reply write_binary(SessionContext& context, std::string_view arguments) {
  Scanner scanner(arguments);
  const auto request = scan_request(scanner);
  if (!request || !scanner.take(':')) return malformed(context, "X wants address,length:data");
  return write(context, *request, bytes_of(scanner.rest()));
}

Reply search(SessionContext& context, std::string_view arguments) {
  Scanner scanner(arguments);
  if (!scanner.take(":memory:")) return {};
  const auto address = scanner.number();
  if (!address || !scanner.take(';')) return malformed(context, "qSearch wants address;length;pattern");
  const auto length = scanner.number();
  if (!length || !scanner.take(';')) return malformed(context, "qSearch wants address;length;pattern");
  const auto found = search_memory(context.target, {context.space(), *address, *length},
                                   bytes_of(scanner.rest()), [&context] { return context.wire.cancelled(); });
  if (!found) return error_reply(context, found.error());
  return *found ? "1," + hex_number(**found) : "0";
}

Reply crc(SessionContext& context, std::string_view arguments) {
  Scanner scanner(arguments);
  const auto request = scanner.take(':') ? scan_request(scanner) : std::nullopt;
  if (!request || !scanner.at_end()) return malformed(context, "qCRC wants address,length");
  const auto sum = crc_memory(context.target, {context.space(), request->address, request->length},
                              [&context] { return context.wire.cancelled(); });
  return sum ? "C" + hex_number(*sum) : error_reply(context, sum.error());
}

Reply region(SessionContext& context, std::string_view arguments) {
  Scanner scanner(arguments);
  const auto address = scanner.take(':') ? scanner.number() : std::nullopt;
  if (!address || !scanner.at_end()) return malformed(context, "qMemoryRegionInfo wants an address");
  const auto found = context.target.memory_region(context.space(), *address);
  if (!found) return error_reply(context, found.error());
  Reply reply = "start:" + hex_number(found->begin) + ";size:" + hex_number(found->end - found->begin) + ";";
  if (!found->mapped) return reply;
  reply += "permissions:r";
  if (found->writable) reply += 'w';
  if (found->executable) reply += 'x';
  return reply + ";";
}

constexpr std::array kMemoryCommands = {
    Command{"m", read_hex},
    Command{"M", write_hex},
    Command{"x", read_binary},
    Command{"X", write_binary},
    Command{"qSearch", search},
    Command{"qCRC", crc},
    Command{"qMemoryRegionInfo", region},
};

}  // namespace

std::span<const Command> memory_commands() {
  return kMemoryCommands;
}

}  // namespace vmm::gdb

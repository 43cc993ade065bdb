// H T qC, and the three ways to list threads. qXfer:threads is one packet for all; the others are for
// debuggers that don't ask for it.
#include "vmm/gdb/threads_xml.h"

#include <algorithm>
#include <array>

#include "vmm/gdb/commands.h"
#include "vmm/gdb/hex.h"

namespace vmm::gdb {
namespace {

/// The first thread that `selector` matches, the current one before others.
std::optional<ThreadId> pick(SessionContext& context, const ThreadSelector& selector) {
  const auto threads = context.target.threads();
  const auto matches = [&selector](const ThreadInfo& each) { return selector.matches(each.id); };
  const auto current = std::ranges::find(threads, context.thread, &ThreadInfo::id);
  if (current != threads.end() && matches(*current)) return context.thread;
  const auto found = std::ranges::find_if(threads, matches);
  return found == threads.end() ? std::nullopt : std::optional(found->id);
}

Reply no_such_thread(const SessionContext& context) {
  return error_reply(context, {uvm::ErrorKind::NotFound, "no such thread"});
}

Reply select(SessionContext& context, std::string_view arguments) {
  Scanner scanner(arguments);
  const bool general = scanner.take('g');
  if (!general && !scanner.take('c')) return malformed(context, "H wants g or c");
  const auto selector = scan_thread(scanner);
  if (!selector || !scanner.at_end()) return malformed(context, "H wants a thread");
  const auto thread = pick(context, *selector);
  if (!thread) return no_such_thread(context);
  if (general) {
    context.thread = *thread;
  } else {
    context.resumed = *selector;
  }
  return "OK";
}

Reply is_alive(SessionContext& context, std::string_view arguments) {
  Scanner scanner(arguments);
  const auto selector = scan_thread(scanner);
  if (!selector || !scanner.at_end()) return malformed(context, "T wants a thread");
  return pick(context, *selector) ? "OK" : no_such_thread(context);
}

Reply current(SessionContext& context, std::string_view /*arguments*/) {
  return "QC" + format_thread(context.thread, context.thread_form());
}

Reply first_threads(SessionContext& context, std::string_view /*arguments*/) {
  Reply reply;
  for (const ThreadInfo& each : context.target.threads())
    reply += (reply.empty() ? "m" : ",") + format_thread(each.id, context.thread_form());
  return reply;
}

Reply more_threads(SessionContext& /*context*/, std::string_view /*arguments*/) {
  return "l";
}

Reply extra_info(SessionContext& context, std::string_view arguments) {
  Scanner scanner(arguments);
  const auto selector = scanner.take(',') ? scan_thread(scanner) : std::nullopt;
  if (!selector || !scanner.at_end()) return malformed(context, "qThreadExtraInfo wants a thread");
  for (const ThreadInfo& each : context.target.threads())
    if (selector->matches(each.id))
      return hex_text(each.name + " (" + context.target.thread_state(each.id) + ")");
  return no_such_thread(context);
}

std::string xml_text(std::string_view text) {
  std::string out;
  for (const char each : text) {
    switch (each) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += each;
    }
  }
  return out;
}

constexpr std::array kThreadCommands = {
    Command{"H", select},
    Command{"T", is_alive},
    Command{"qC", current},
    Command{"qfThreadInfo", first_threads},
    Command{"qsThreadInfo", more_threads},
    Command{"qThreadExtraInfo", extra_info},
};

}  // namespace

std::string threads_xml(SessionContext& context) {
  std::string xml = "<?xml version=\"1.0\"?>\n<threads>\n";
  for (const ThreadInfo& each : context.target.threads()) {
    xml += "<thread id=\"" + format_thread(each.id, context.thread_form()) + "\" core=\"" +
           std::to_string(each.id.tid - 1) + "\" name=\"" + xml_text(each.name) + "\">" +
           xml_text(context.target.thread_state(each.id)) + "</thread>\n";
  }
  return xml + "</threads>\n";
}

std::span<const Command> thread_commands() {
  return kThreadCommands;
}

}  // namespace vmm::gdb

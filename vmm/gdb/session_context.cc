#include "vmm/gdb/session_context.h"

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "vmm/gdb/hex.h"
#include "vmm/text.h"

namespace vmm::gdb {
namespace {

int number_of(uvm::ErrorKind kind) {
  switch (kind) {
    case uvm::ErrorKind::NoMapping:
    case uvm::ErrorKind::NoBacking:
      return EFAULT;
    case uvm::ErrorKind::Protection:
    case uvm::ErrorKind::Permission:
      return EACCES;
    case uvm::ErrorKind::Invalid:
    case uvm::ErrorKind::EndOfObject:
      return EINVAL;
    case uvm::ErrorKind::NoMemory:
      return ENOMEM;
    case uvm::ErrorKind::Busy:
    case uvm::ErrorKind::Pinned:
      return EBUSY;
    case uvm::ErrorKind::Unsupported:
      return EOPNOTSUPP;
    case uvm::ErrorKind::NotFound:
      return ENOENT;
    case uvm::ErrorKind::PagerIo:
    case uvm::ErrorKind::System:
    case uvm::ErrorKind::Guest:
      return EIO;
  }
  return EIO;
}

/// One line without the characters that mean something to a packet; nobody unescapes `E.` texts.
std::string plain(std::string_view text) {
  constexpr std::size_t kMost = 1000;
  std::string line = one_line(text.substr(0, kMost));
  constexpr std::string_view kSpecial = "#$}*";
  std::ranges::replace_if(
      line, [kSpecial](char c) { return kSpecial.find(c) != std::string_view::npos; }, '_');
  return line;
}

}  // namespace

Reply error_reply(const SessionContext& context, const uvm::Error& error) {
  if (context.errors == ErrorStyle::Text) return "E." + plain(error.text());
  Reply reply = "E";
  const auto number = static_cast<std::byte>(number_of(error.kind()));
  append_hex(reply, {&number, 1});
  if (context.errors == ErrorStyle::NumberText) reply += ";" + hex_text(plain(error.text()));
  return reply;
}

Reply malformed(const SessionContext& context, std::string_view what) {
  return error_reply(context, {uvm::ErrorKind::Invalid, "malformed packet: " + std::string(what)});
}

Reply status_reply(const SessionContext& context, const uvm::Status& status) {
  return status ? Reply("OK") : error_reply(context, status.error());
}

void send_console(SessionContext& context, std::string_view text) {
  constexpr std::size_t kChunk = 4096;  // bytes of text a packet
  while (!text.empty()) {
    context.out.send("O" + hex_text(text.substr(0, kChunk)));
    text.remove_prefix(std::min(text.size(), kChunk));
  }
}

}  // namespace vmm::gdb

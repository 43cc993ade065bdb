#include "vmm/gdb/copy_door.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "vmm/gdb/hex.h"
#include "vmm/gdb/packet_reader.h"
#include "vmm/gdb/packet_writer.h"
#include "vmm/gdb/thread_selector.h"

namespace vmm::gdb {
namespace {

using uvm::Error;
using uvm::ErrorKind;
using uvm::Result;

Error gone() {
  return {ErrorKind::EndOfObject, "the copy has ended, or has another debugger"};
}

/// One whole packet in front of `bytes`: its payload, and the packet is taken away. What stands before it are
/// acknowledgements.
std::optional<std::string> take_packet(std::string& bytes) {
  const std::size_t begin = bytes.find('$');
  const std::size_t end = begin == std::string::npos ? begin : bytes.find('#', begin);
  constexpr std::size_t kDigits = 2;
  if (end == std::string::npos || bytes.size() <= end + kDigits) return std::nullopt;
  std::string payload = bytes.substr(begin + 1, end - begin - 1);
  bytes.erase(0, end + 1 + kDigits);
  return payload;
}

}  // namespace

Result<ThreadId> CopyDoor::greet(std::string_view announced) {
  const Output none = [](std::string_view) {};
  UVMM_TRY(const std::string quiet, ask("QStartNoAckMode", none));
  // Copies of the copy go their own way: their sockets would be in another process than the debugger's.
  constexpr std::string_view kForks = "fork-events+";
  std::string features(announced);
  if (const std::size_t at = features.find(kForks); at != std::string::npos)
    features.erase(at, kForks.size());
  UVMM_TRY(const std::string known, ask("qSupported" + features, none));
  UVMM_TRY(const std::string current, ask("qC", none));
  Scanner scanner(current);
  const auto selector = scanner.take("QC") ? scan_thread(scanner) : std::nullopt;
  if (!selector || selector->pid <= 0 || !selector->names_one()) {
    return Error(ErrorKind::Invalid, "the copy has no thread: " + current);
  }
  first_ = {static_cast<std::uint32_t>(selector->pid), static_cast<std::uint32_t>(selector->tid)};
  return first_;
}

Result<std::string> CopyDoor::ask(std::string_view packet, const Output& output) {
  std::string escaped;
  append_escaped(escaped, bytes_of(packet), 2 * packet.size());
  UVMM_CHECK(send(framed(escaped)));
  for (;;) {
    UVMM_TRY(std::string payload, receive());
    const bool is_output = payload.size() > 1 && payload.front() == 'O' && payload != "OK";
    if (!is_output) return payload;
    output(payload);
  }
}

uvm::Status CopyDoor::resume(std::string_view packet) {
  return send(framed(packet));
}

Result<std::optional<std::string>> CopyDoor::poll() {
  std::array<char, 4096> buffer{};
  for (;;) {
    if (auto payload = take_packet(bytes_)) return payload;
    const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return std::optional<std::string>();
    if (got <= 0) return gone();
    bytes_.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

uvm::Status CopyDoor::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return gone();
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return uvm::ok();
}

Result<std::string> CopyDoor::receive() {
  std::array<char, 4096> buffer{};
  for (;;) {
    if (auto payload = take_packet(bytes_)) return *std::move(payload);
    pollfd wait{socket_.get(), POLLIN, 0};
    const int ready = ::poll(&wait, 1, kPatience * 1000);
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) return Error(ErrorKind::Busy, "the copy does not answer");
    const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return gone();
    bytes_.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace vmm::gdb

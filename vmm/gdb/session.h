// One debugger's conversation with one machine, from its first packet to its last.
//
//   Idle ── first whole packet ──► Stopped ── vCont, c, s ──► Running ── stopped() ──► Stopped …
//   (a connection that never speaks the protocol, say a port scan, does not stop the guest)
//   Stopped ── D, vKill ──► Detached ── vAttach ──► Stopped        any ── exited ──► Ended
//
// A stop reply is only ever the answer to `?` or to a resume: lldb takes an unasked one for the answer to
// its first packet. While the machine runs, an interrupt is obeyed at once and packets wait for the stop, at
// most kMostDeferred of them; then they are answered in order. So any pipelined sequence means what it would
// mean packet by packet.
//
// What it refuses: bytes that cannot be the protocol's before the first packet (a browser's POST to the port
// contains packets, too), more than that many packets while the machine runs. Both end the connection.
//
// Thread: all on the server's. Nothing here does I/O.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/gdb/options.h"
#include "vmm/gdb/packet_reader.h"
#include "vmm/gdb/session_context.h"
#include "vmm/gdb/target.h"
#include "vmm/gdb/wire.h"

namespace vmm::gdb {

class Session {
 public:
  static constexpr std::size_t kMostDeferred = 64;  // packets

  /// All must outlive the session. `listener` is handed to the target and has to bring its events to
  /// stopped() on this thread.
  Session(Target& target, StopListener& listener, Wire& wire, OnKill on_kill,
          OnDisconnect on_disconnect = OnDisconnect::Resume);
  /// Detaches, if need be: the debugger has gone without a word, and on_disconnect says what becomes of the
  /// guest.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Bytes from the debugger. What can't be answered now (Wire::congested) is kept for go_on().
  void receive(std::string_view bytes);
  /// The wire has room again.
  void go_on();
  /// The target's event.
  void stopped(const StopEvent& event);
  /// The machine is about to end with `status`: says so to a debugger that waits, and leaves it stopped.
  void machine_ended(int status);

  /// The conversation is over; close the connection when all has been sent.
  [[nodiscard]] bool is_over() const { return over_; }
  /// Bytes wait inside: don't read more.
  [[nodiscard]] bool has_input() const { return !input_.empty(); }

 private:
  enum class State : std::uint8_t { Idle, Stopped, Running, Detached, Ended };

  void pump();
  void on_event(PacketEvent event);
  void on_packet(std::string packet);
  void answer(std::string_view packet);
  /// Those that start, stop or leave the machine; false: not one of them.
  [[nodiscard]] bool control(std::string_view packet);

  void attach();
  void attach_again(std::string_view packet);
  void let_go(std::string_view packet);
  void detach(AfterDetach after);
  void resume(std::string_view packet);
  void kill();
  void report(const StopEvent& event);
  void refuse(std::string_view why);

  [[nodiscard]] bool is_attached() const { return state_ == State::Stopped || state_ == State::Running; }

  SessionContext context_;
  StopListener& listener_;
  const OnKill on_kill_;
  const OnDisconnect on_disconnect_;
  PacketReader reader_;
  State state_ = State::Idle;
  bool heard_packet_ = false;
  bool over_ = false;
  std::string input_;                 // received, not yet looked at
  std::deque<std::string> deferred_;  // whole packets that wait for a stop
};

}  // namespace vmm::gdb

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
// Copies. When the machine is forked, a debugger that has announced fork-events+ hears of it as the answer to
// a resume: at once if the machine runs, else to the next one. The copy is a process of its own with a
// session of its own; packets that name it, or that come while one of its threads is selected, are passed on
// to it as they are (copy_door.h), until it is let go. One of them runs at a time, the machine or a copy. A
// debugger that has let the machine go keeps its copies, by way of this process.
//
// What it refuses: bytes that cannot be the protocol's before the first packet (a browser's POST to the port
// contains packets, too), more than that many packets while the machine runs. Both end the connection.
//
// Thread: all on the server's. Nothing here does I/O but what CopyDoor does, which waits.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/gdb/copy_door.h"
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
  /// There is a copy, which waits for its debugger at `door` (StopListener::forked).
  void forked(Fd door);
  /// The socket to wait for while a copy runs, and what to call when it can be read. -1: no copy runs.
  [[nodiscard]] int copy_socket() const;
  void copy_spoke();
  /// Whether forked() is of use: the client has asked for it, and needs no acknowledgements (a copy's answers
  /// go through as they are).
  [[nodiscard]] bool follows_forks() const {
    return is_attached() && context_.client.fork_events && context_.client.multiprocess &&
           !context_.out.acknowledges();
  }
  /// The machine is about to end with `status`: says so to a debugger that waits, and leaves it stopped.
  void machine_ended(int status);

  /// The conversation is over; close the connection when all has been sent.
  [[nodiscard]] bool is_over() const { return over_; }
  /// Nobody has said a packet yet.
  [[nodiscard]] bool is_idle() const { return state_ == State::Idle; }
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

  /// Tells of the next copy that lives, in place of what a resume or an interrupt would have led to. False:
  /// there is none.
  [[nodiscard]] bool tell_of_copy();
  /// The copy that a packet is meant for: the one it names, else the one that is selected. Null: none.
  [[nodiscard]] CopyDoor* copy_for(std::string_view packet);
  [[nodiscard]] CopyDoor* copy_named(std::int64_t pid);
  /// Has the copy answer.
  void pass_on(CopyDoor& copy, std::string_view packet);
  /// Whose threads alone a vCont names; null: it is not one copy's.
  [[nodiscard]] CopyDoor* copy_to_run(std::string_view packet);
  /// Whether a vCont means copies among others. One machine runs at a time.
  [[nodiscard]] bool names_copies(std::string_view packet);
  void run_copy(CopyDoor& copy, std::string_view packet);
  /// What a copy that ran has come to.
  void copy_stopped(std::string_view reply);
  /// The threads of all, the machine's (if it is still here) and the copies'; for any of the three lists.
  [[nodiscard]] Reply list_threads(std::string_view packet);
  /// Packets wait until somebody has stopped.
  [[nodiscard]] bool is_waiting() const { return state_ == State::Running || running_copy_ != 0; }
  /// D;PID and vKill;PID of a copy, which lives on without a debugger.
  void let_copy_go(std::uint32_t pid);

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

  std::deque<CopyDoor> untold_;               // copies that the debugger has not been told of
  std::map<std::uint32_t, CopyDoor> copies_;  // those that it has, by process
  std::uint32_t running_copy_ = 0;            // in place of the machine; 0: none
  std::vector<ThreadAction> last_plan_;
  bool interrupted_ = false;     // by the debugger, in this run
  bool owes_interrupt_ = false;  // it got a copy's news instead
};

}  // namespace vmm::gdb

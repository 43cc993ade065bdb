#include "vmm/gdb/session.h"

#include <optional>
#include <utility>

#include "vmm/gdb/commands.h"
#include "vmm/gdb/hex.h"
#include "vmm/gdb/resume_plan.h"
#include "vmm/gdb/stop_reply.h"
#include "vmm/gdb/target_xml.h"
#include "vmm/log.h"

namespace vmm::gdb {
namespace {

uvm::Error not_attached() {
  return {uvm::ErrorKind::NotFound, "no machine is attached", "attach 1"};
}

}  // namespace

Session::Session(Target& target, StopListener& listener, Wire& wire, OnKill on_kill,
                 OnDisconnect on_disconnect)
    : context_(target, wire), listener_(listener), on_kill_(on_kill), on_disconnect_(on_disconnect) {}

Session::~Session() {
  if (is_attached() && on_disconnect_ == OnDisconnect::Kill) context_.target.kill();
  detach(on_disconnect_ == OnDisconnect::Resume ? AfterDetach::Run : AfterDetach::StayStopped);
}

void Session::receive(std::string_view bytes) {
  input_ += bytes;
  pump();
}

void Session::go_on() {
  pump();
}

void Session::pump() {
  std::string_view rest = input_;
  while (!over_ && !context_.wire.congested()) {
    if (state_ != State::Running && !deferred_.empty()) {
      const std::string packet = std::move(deferred_.front());
      deferred_.pop_front();
      answer(packet);
      continue;
    }
    auto event = reader_.next(rest);
    if (!event) break;
    on_event(*std::move(event));
  }
  if (over_) rest = {};
  input_.erase(0, input_.size() - rest.size());
}

void Session::on_event(PacketEvent event) {
  switch (event.kind) {
    case PacketEvent::Kind::Packet:
      heard_packet_ = true;
      context_.out.accept();
      on_packet(std::move(event.payload));
      break;
    case PacketEvent::Kind::Interrupt:
      if (state_ == State::Running) context_.target.interrupt();
      break;
    case PacketEvent::Kind::Ack:
      context_.out.acknowledged();
      break;
    case PacketEvent::Kind::Nak:
      context_.out.resend();
      break;
    case PacketEvent::Kind::BadChecksum:
      // Without acknowledgements nobody sends it again, and nobody should wait for an answer for ever.
      if (context_.out.acknowledges()) {
        context_.out.refuse();
      } else {
        context_.out.send(malformed(context_, "wrong checksum"));
      }
      break;
    case PacketEvent::Kind::TooLong:
      context_.out.accept();
      context_.out.send(malformed(context_, "longer than PacketSize"));
      break;
    case PacketEvent::Kind::Noise:
      if (!heard_packet_) refuse("this is not the remote protocol");
      break;
  }
}

void Session::on_packet(std::string packet) {
  if (state_ == State::Idle) attach();
  if (over_) return;
  if (state_ != State::Running) return answer(packet);
  if (deferred_.size() == kMostDeferred) return refuse("too many packets while the machine runs");
  deferred_.push_back(std::move(packet));
}

void Session::answer(std::string_view packet) {
  if (control(packet)) return;
  const Command* command = find_command(packet);
  if (command == nullptr) return context_.out.send({});
  if (command->needs == Needs::Machine && state_ != State::Stopped)
    return context_.out.send(error_reply(context_, not_attached()));
  const std::size_t taken = packet_name(packet).size();
  context_.out.send(command->answer(context_, packet.substr(taken)));
}

bool Session::control(std::string_view packet) {
  const std::string_view name = packet_name(packet);
  if (name == "?") {
    report(context_.last_stop);
  } else if (packet == "QStartNoAckMode") {
    context_.out.send("OK");
    context_.out.stop_acknowledging();
  } else if (packet == "vCont?") {
    context_.out.send(kResumeActions);
  } else if (name == "vCont" || name == "c" || name == "C" || name == "s" || name == "S") {
    resume(packet);
  } else if (name == "D") {
    let_go(packet);
  } else if (name == "k") {
    kill();
    over_ = true;
  } else if (name == "vKill") {
    kill();
    context_.out.send("OK");
  } else if (name == "vAttach") {
    attach_again(packet);
  } else {
    // `R` has no answer in any protocol version; a machine here ends when it resets.
    return name == "R";
  }
  return true;
}

void Session::attach() {
  auto event = context_.target.attach(listener_);
  if (!event) {
    context_.out.send(error_reply(context_, event.error()));
    return refuse(event.error().text());
  }
  context_.registers = RegisterMap(context_.target.xsave_layout());
  context_.description = target_xml(context_.registers);
  context_.last_stop = *event;
  context_.thread = event->thread;
  context_.resumed = {};
  context_.physical = false;
  context_.step_flags = StepFlags::Default;
  state_ = State::Stopped;
}

void Session::attach_again(std::string_view packet) {
  Scanner scanner(packet.substr(packet_name(packet).size()));
  const auto pid = scanner.take(';') ? scanner.number() : std::nullopt;
  if (!pid || !scanner.at_end()) return context_.out.send(malformed(context_, "vAttach wants a process"));
  if (*pid != ThreadId{}.pid)
    return context_.out.send(error_reply(context_, {uvm::ErrorKind::NotFound, "no machine has this number"}));
  if (state_ == State::Detached) attach();
  if (!over_) report(context_.last_stop);
}

void Session::let_go(std::string_view packet) {
  if (packet != "D" && packet != "D;" + hex_number(ThreadId{}.pid))
    return context_.out.send(error_reply(context_, not_attached()));
  detach(AfterDetach::Run);
  context_.out.send("OK");
}

void Session::detach(AfterDetach after) {
  if (is_attached()) context_.target.detach(after);
  if (state_ != State::Idle) state_ = State::Detached;
}

void Session::kill() {
  if (on_kill_ == OnKill::Kill) context_.target.kill();
  detach(on_kill_ == OnKill::Kill ? AfterDetach::StayStopped : AfterDetach::Run);
}

void Session::resume(std::string_view packet) {
  if (state_ != State::Stopped) return context_.out.send(error_reply(context_, not_attached()));
  const auto threads = context_.target.threads();
  const std::string_view name = packet_name(packet);
  auto plan = name == "vCont" ? plan_resume(packet.substr(name.size()), threads)
                              : plan_old_resume(packet, threads, context_.resumed, context_.thread);
  auto done = plan ? context_.target.resume(*plan) : uvm::Status(std::move(plan).error());
  if (done) {
    state_ = State::Running;
    return;
  }
  // A debugger that takes no text would only say that something failed.
  if (context_.errors == ErrorStyle::Number) send_console(context_, done.error().text() + "\n");
  context_.out.send(error_reply(context_, done.error()));
}

void Session::stopped(const StopEvent& event) {
  if (event.reason == StopReason::Exited) return machine_ended(event.status);
  if (state_ != State::Running) return;
  if (!event.note.empty()) send_console(context_, event.note + "\n");
  state_ = State::Stopped;
  context_.last_stop = event;
  context_.thread = event.thread;
  report(event);
  pump();
}

void Session::machine_ended(int status) {
  const bool awaited = state_ == State::Running;
  const bool was_there = is_attached();
  detach(AfterDetach::StayStopped);
  if (!was_there) return;
  state_ = State::Ended;
  context_.last_stop.reason = StopReason::Exited;
  context_.last_stop.status = status;
  if (awaited) report(context_.last_stop);
  pump();
}

void Session::report(const StopEvent& event) {
  StopEvent shown = event;
  // `?` of an extended client that has let the machine go: there is no process.
  if (state_ == State::Detached) shown.reason = StopReason::Exited;
  context_.out.send(stop_reply(context_, shown));
}

void Session::refuse(std::string_view why) {
  log::event(log::Level::Warning, "debugger's connection is closed", {{"reason", why}});
  deferred_.clear();
  over_ = true;
}

}  // namespace vmm::gdb

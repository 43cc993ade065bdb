#include "vmm/gdb/session.h"

#include <optional>
#include <utility>

#include "vmm/gdb/commands.h"
#include "vmm/gdb/hex.h"
#include "vmm/gdb/resume_plan.h"
#include "vmm/gdb/stop_reply.h"
#include "vmm/gdb/target_xml.h"
#include "vmm/gdb/threads_xml.h"
#include "vmm/log.h"

namespace vmm::gdb {
namespace {

/// What stands between a document's first and last line.
std::string_view inside(std::string_view document) {
  constexpr std::string_view kBegin = "<threads>\n";
  const std::size_t begin = document.find(kBegin);
  const std::size_t end = document.rfind("</threads>");
  if (begin == std::string_view::npos || end == std::string_view::npos) return {};
  return document.substr(begin + kBegin.size(), end - begin - kBegin.size());
}

bool lists_threads(std::string_view packet) {
  return packet == "qfThreadInfo" || packet.starts_with("qXfer:threads:read::");
}

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
    if (!is_waiting() && !deferred_.empty()) {
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
      if (CopyDoor* const copy = copy_named(running_copy_)) copy->interrupt();
      if (state_ != State::Running) break;
      interrupted_ = true;
      context_.target.interrupt();
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
  if (!is_waiting()) return answer(packet);
  if (deferred_.size() == kMostDeferred) return refuse("too many packets while the machine runs");
  deferred_.push_back(std::move(packet));
}

void Session::answer(std::string_view packet) {
  if (CopyDoor* const copy = copy_to_run(packet)) return run_copy(*copy, packet);
  if (CopyDoor* const copy = copy_for(packet)) return pass_on(*copy, packet);
  if (!copies_.empty() && lists_threads(packet)) return context_.out.send(list_threads(packet));
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
  if (*pid != context_.target.pid())
    return context_.out.send(error_reply(context_, {uvm::ErrorKind::NotFound, "no machine has this number"}));
  if (state_ == State::Detached) attach();
  if (!over_) report(context_.last_stop);
}

void Session::let_go(std::string_view packet) {
  if (packet != "D" && packet != "D;" + hex_number(context_.target.pid()))
    return context_.out.send(error_reply(context_, not_attached()));
  detach(AfterDetach::Run);
  context_.out.send("OK");
}

void Session::detach(AfterDetach after) {
  if (is_attached()) context_.target.detach(after);
  untold_.clear();
  if (state_ != State::Idle) state_ = State::Detached;
}

void Session::kill() {
  if (on_kill_ == OnKill::Kill) context_.target.kill();
  detach(on_kill_ == OnKill::Kill ? AfterDetach::StayStopped : AfterDetach::Run);
}

void Session::resume(std::string_view packet) {
  if (state_ != State::Stopped) return context_.out.send(error_reply(context_, not_attached()));
  if (names_copies(packet)) {
    // A stop, and no error: gdb would ask again for ever.
    send_console(context_, "One of machine and copies runs at a time; set schedule-multiple off\n");
    context_.last_stop.reason = StopReason::Interrupted;
    return report(context_.last_stop);
  }
  if (tell_of_copy()) return;
  if (std::exchange(owes_interrupt_, false)) {
    context_.last_stop.reason = StopReason::Interrupted;
    return report(context_.last_stop);
  }
  const auto threads = context_.target.threads();
  const std::string_view name = packet_name(packet);
  auto plan = name == "vCont" ? plan_resume(packet.substr(name.size()), threads)
                              : plan_old_resume(packet, threads, context_.resumed, context_.thread);
  auto done = plan ? context_.target.resume(*plan) : uvm::Status(std::move(plan).error());
  if (done) {
    state_ = State::Running;
    interrupted_ = false;
    last_plan_ = *std::move(plan);
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
  if (event.reason != StopReason::Interrupted || untold_.empty()) {
    report(event);
  } else if (tell_of_copy()) {
    owes_interrupt_ = interrupted_;
  } else if (!interrupted_ && context_.target.resume(last_plan_)) {
    // The copy did not come to life: nothing has happened.
    state_ = State::Running;
  } else {
    report(event);
  }
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

void Session::forked(Fd door) {
  if (follows_forks()) untold_.emplace_back(std::move(door));
}

bool Session::tell_of_copy() {
  while (!untold_.empty()) {
    CopyDoor door = std::move(untold_.front());
    untold_.pop_front();
    const auto thread = door.greet(context_.client.announced);
    if (!thread) {
      send_console(context_, "A copy of the machine is not followed: " + thread.error().text() + "\n");
      continue;
    }
    copies_.insert_or_assign(thread->pid, std::move(door));
    context_.last_stop.reason = StopReason::Forked;
    context_.last_stop.child = *thread;
    context_.thread = context_.last_stop.thread;
    report(context_.last_stop);
    return true;
  }
  return false;
}

CopyDoor* Session::copy_named(std::int64_t pid) {
  const auto found = pid > 0 ? copies_.find(static_cast<std::uint32_t>(pid)) : copies_.end();
  return found == copies_.end() ? nullptr : &found->second;
}

CopyDoor* Session::copy_for(std::string_view packet) {
  if (copies_.empty() || state_ == State::Idle) return nullptr;
  const std::string_view name = packet_name(packet);
  Scanner scanner(packet.substr(name.size()));
  if (name == "H" || name == "T" || name == "qThreadExtraInfo") {
    if (name == "H") static_cast<void>(scanner.take('g') || scanner.take('c'));
    if (name == "qThreadExtraInfo") static_cast<void>(scanner.take(','));
    const auto selector = scan_thread(scanner);
    return selector ? copy_named(selector->pid) : nullptr;
  }
  if (name == "D" || name == "vKill" || name == "qAttached") {
    static_cast<void>(scanner.take(';') || scanner.take(':'));
    const auto pid = scanner.number();
    return pid ? copy_named(static_cast<std::int64_t>(*pid)) : nullptr;
  }
  const Command* const command = find_command(packet);
  if (command == nullptr || command->needs == Needs::Nothing || name == "qsThreadInfo" ||
      lists_threads(packet)) {
    return nullptr;
  }
  return copy_named(context_.thread.pid);
}

void Session::pass_on(CopyDoor& copy, std::string_view packet) {
  const std::string_view name = packet_name(packet);
  const ThreadId first = copy.first_thread();
  if (name == "D" || name == "vKill") return let_copy_go(first.pid);
  const auto reply = copy.ask(packet, [this](std::string_view output) { context_.out.send(output); });
  if (!reply) return context_.out.send(error_reply(context_, reply.error()));
  if (packet.starts_with("Hg") && *reply == "OK") {
    copy.list();
    Scanner scanner(packet.substr(2));
    const auto selector = scan_thread(scanner);
    context_.thread = {first.pid,
                       selector && selector->names_one() ? static_cast<std::uint32_t>(selector->tid) : 1};
  }
  context_.out.send(*reply);
}

/// Calls `see` with the selector of each action of a vCont, nothing for one that names nobody.
template <class See>
void each_action(std::string_view packet, See see) {
  constexpr std::string_view kName = "vCont;";
  if (!packet.starts_with(kName)) return;
  Scanner all(packet.substr(kName.size()));
  while (!all.at_end()) {
    Scanner action(all.until(';'));
    static_cast<void>(action.until(':'));
    see(scan_thread(action));
  }
}

CopyDoor* Session::copy_to_run(std::string_view packet) {
  CopyDoor* found = nullptr;
  bool same = !copies_.empty();
  each_action(packet, [&](const std::optional<ThreadSelector>& who) {
    CopyDoor* const copy = who ? copy_named(who->pid) : nullptr;
    same = same && copy != nullptr && (found == nullptr || found == copy);
    found = copy;
  });
  return same ? found : nullptr;
}

bool Session::names_copies(std::string_view packet) {
  bool any = false;
  each_action(packet, [&](const std::optional<ThreadSelector>& who) {
    any = any || !who || who->pid <= 0 || copy_named(who->pid) != nullptr;
  });
  return any && !copies_.empty();
}

void Session::run_copy(CopyDoor& copy, std::string_view packet) {
  if (const auto done = copy.resume(packet); !done) {
    return context_.out.send(error_reply(context_, done.error()));
  }
  running_copy_ = copy.first_thread().pid;
}

int Session::copy_socket() const {
  const auto running = copies_.find(running_copy_);
  return running == copies_.end() ? -1 : running->second.fd();
}

void Session::copy_spoke() {
  while (CopyDoor* const copy = copy_named(running_copy_)) {
    const auto payload = copy->poll();
    if (payload && !*payload) return;
    const bool is_output = payload && (*payload)->starts_with('O');
    if (is_output) {
      context_.out.send(**payload);
    } else {
      constexpr std::string_view kKilled = "X09;process:";
      copy_stopped(payload ? **payload : std::string(kKilled) + hex_number(running_copy_));
    }
  }
}

void Session::copy_stopped(std::string_view reply) {
  const std::uint32_t pid = std::exchange(running_copy_, 0);
  if (reply.starts_with("W") || reply.starts_with("X")) copies_.erase(pid);
  constexpr std::string_view kThread = "thread:";
  const std::size_t at = reply.find(kThread);
  if (reply.starts_with("T") && at != std::string_view::npos) {
    Scanner scanner(reply.substr(at + kThread.size()));
    const auto who = scan_thread(scanner);
    if (who && who->names_one()) context_.thread = {pid, static_cast<std::uint32_t>(who->tid)};
  }
  context_.out.send(reply);
  pump();
}

Reply Session::list_threads(std::string_view packet) {
  constexpr std::string_view kWhole = "qXfer:threads:read::0,10000";
  const bool is_document = packet != "qfThreadInfo";
  Reply ours;
  if (state_ == State::Stopped) {
    for (const ThreadInfo& each : is_document ? std::vector<ThreadInfo>() : context_.target.threads())
      ours += (ours.empty() ? "m" : ",") + format_thread(each.id, context_.thread_form());
    if (is_document) ours = inside(threads_xml(context_));
  }
  for (auto& [pid, copy] : copies_) {
    if (!copy.is_listed()) continue;
    const auto theirs = copy.ask(is_document ? kWhole : packet, [](std::string_view) {});
    if (!theirs || theirs->empty()) continue;
    if (is_document) {
      ours += inside(*theirs);
    } else {
      ours += (ours.empty() ? "m" : ",") + theirs->substr(1);
    }
  }
  if (!is_document) return ours;
  const std::string document = "<?xml version=\"1.0\"?>\n<threads>\n" + ours + "</threads>\n";
  return document_piece(context_, document, packet.substr(std::string_view("qXfer:threads:read::").size()));
}

void Session::let_copy_go(std::uint32_t pid) {
  // Closed without a word it would go on too; the answer tells that it does.
  static_cast<void>(copies_.at(pid).ask("D;" + hex_number(pid), [](std::string_view) {}));
  copies_.erase(pid);
  if (context_.thread.pid == pid) context_.thread = context_.last_stop.thread;
  context_.out.send("OK");
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

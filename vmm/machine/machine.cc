#include "vmm/machine/machine.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/signal_set.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <utility>

#include "vmm/confine/confinement.h"
#include "vmm/log.h"
#include "vmm/machine/devices_at_rest.h"
#include "vmm/machine/machine_state.h"
#include "vmm/machine/memory_map.h"
#include "vmm/machine/parts.h"

namespace vmm {
namespace {

/// How long a console that nobody reads may hold up the end of the machine.
constexpr std::chrono::milliseconds kDrainLimit{2000};

/// SIGUSR1 shows the map and waits for the next; the others end the run.
void wait_for_signal(boost::asio::signal_set& signals, Machine::Parts& parts) {
  signals.async_wait([&signals, &parts](const boost::system::error_code& error, int number) {
    if (error) return;
    if (number != SIGUSR1) {
      parts.ending.end(RunReport{128 + number, {}});
      return;
    }
    const std::string map = format_memory_map(parts.memory->space());
    std::fputs(map.c_str(), stderr);
    wait_for_signal(signals, parts);
  });
}

/// The size of the terminal that the console is on, now and whenever it changes.
void follow_size(boost::asio::signal_set& changes, virtio::console::Console& hvc) {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) hvc.set_size({size.ws_col, size.ws_row});
  changes.async_wait([&changes, &hvc](const boost::system::error_code& error, int /*number*/) {
    if (!error) follow_size(changes, hvc);
  });
}

void start_console(Machine::Parts& parts) {
  if (!parts.console) return;
  Console& console = *parts.console;
  Console::Callbacks callbacks;
  if (parts.hvc != nullptr) {
    virtio::console::Console& hvc = *parts.hvc;
    callbacks.input = [&hvc](std::span<const std::byte> bytes) { return hvc.offer_input(bytes); };
    callbacks.output_space = [&hvc] { hvc.sink_ready(); };
  } else {
    devices::Serial& serial = parts.platform->serial();
    serial.set_on_input_space([&console] { console.input_space(); });
    callbacks.input = [&serial](std::span<const std::byte> bytes) { return serial.offer_input(bytes); };
    callbacks.output_space = [&serial] { serial.sink_ready(); };
  }
  callbacks.leave = [&parts] { parts.ending.end(ExitStatus::Ok); };
  callbacks.output_closed = [](const uvm::Error& error) {
    log::event(log::Level::Warning, "console output has gone", {{"error", error.text()}});
  };
  console.start(std::move(callbacks));
}

void start_debugger(Machine::Parts& parts) {
  if (!parts.debugger) return;
  const auto started = parts.debugger->start();
  if (!started) parts.ending.end(ExitStatus::Internal, started.error().text());
}

/// What the guest has written goes on to the console, as far as there is room: whether that is all.
bool push_output(Machine::Parts& parts) {
  if (parts.hvc != nullptr) return parts.hvc->flush();
  parts.platform->serial().sink_ready();
  return parts.platform->serial().output_idle();
}

/// The guest's last words: what its device holds follows what the console holds, until both are empty.
void drain_console(Machine::Parts& parts) {
  if (!parts.console) return;
  parts.console->stop();
  bool all = false;
  do {
    all = push_output(parts);
    if (!parts.console->drain(kDrainLimit)) {
      log::event(log::Level::Warning, "console output was cut off: nobody reads it");
      return;
    }
  } while (!all);
}

}  // namespace

uvm::Result<std::unique_ptr<Machine>> Machine::create(const MachineConfig& config) {
  UVMM_TRY(auto parts, build_machine(config, nullptr, nullptr));
  return std::unique_ptr<Machine>(new Machine(std::move(parts)));
}

uvm::Result<std::unique_ptr<Machine>> Machine::create_from(const MachineConfig& config,
                                                           const MachineImage& image) {
  return create_from(config, image, nullptr);
}

uvm::Result<std::unique_ptr<Machine>> Machine::create_from(const MachineConfig& config,
                                                           const MachineImage& image,
                                                           std::unique_ptr<MachineShell> shell) {
  UVMM_TRY(auto parts, build_machine(config, &image, std::move(shell)));
  return std::unique_ptr<Machine>(new Machine(std::move(parts)));
}

Machine::Machine(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Machine::~Machine() = default;

uvm::Result<RunReport> Machine::run() {
  Parts& parts = *parts_;
  UVMM_CHECK(confine::let_reopen_files());
  boost::asio::signal_set signals(parts.io, SIGUSR1, SIGTERM, SIGINT);
  signals.add(SIGHUP);
  wait_for_signal(signals, parts);
  start_console(parts);
  boost::asio::signal_set resizes(parts.io);
  if (parts.hvc != nullptr) {
    resizes.add(SIGWINCH);
    follow_size(resizes, *parts.hvc);
  }
  SwapTrouble& trouble = *parts.trouble;
  UVMM_TRY(parts.faults,
           FaultThread::start(*parts.memory, {[&trouble](uvm::Gpa gpa, const uvm::Error& error) {
                                                return trouble.failed(gpa, error);
                                              },
                                              [&trouble] { trouble.recovered(); }}));
  UVMM_TRY(parts.reclaim, ReclaimThread::start(*parts.memory));
  // The guest waits until this thread, too, is confined.
  parts.vcpus->pause();
  UVMM_CHECK(parts.vcpus->start());
  start_debugger(parts);
  if (parts.pins) UVMM_CHECK(parts.pins->start());
  if (parts.control) UVMM_CHECK(parts.control->start());
  if (parts.host_devices) parts.host_devices->start(parts.io);
  confine::enter(confine::ThreadKind::Io);
  parts.vcpus->resume();
  parts.events.tell("started");
  const auto idle = boost::asio::make_work_guard(parts.io);
  parts.io.run();
  const RunReport report = parts.ending.report().value_or(RunReport{});
  parts.events.tell("ended", "\"status\": " + std::to_string(report.status));
  if (parts.at_end) parts.at_end();
  if (parts.control) parts.control->finish();
  parts.pauses->resume();
  if (parts.debugger) parts.debugger->finish(report.status);
  parts.vcpus->stop();
  parts.inferior->run().machine_ended(report.status);
  if (parts.pins) parts.pins->finish();
  drain_console(parts);
  for (const auto& device : parts.virtio) device->finish();
  parts.faults.reset();
  parts.reclaim.reset();
  return report;
}

const control::Environment& Machine::doors() const {
  return *parts_->doors;
}

void Machine::set_at_end(std::function<void()> at_end) {
  parts_->at_end = std::move(at_end);
}

void Machine::stop() {
  parts_->ending.end(ExitStatus::Ok);
}

gdb::Target& Machine::debug_target() {
  return *parts_->target;
}

void Machine::start_stopped() {
  parts_->inferior->run().start_paused();
}

uvm::Result<MachineImage> Machine::take_image() {
  return vmm::take_image(*parts_);
}

Checkpoints& Machine::checkpoints() {
  return *parts_->checkpoints;
}

void Machine::pause() {
  parts_->vcpus->pause();
}

void Machine::resume() {
  parts_->vcpus->resume();
}

uvm::Result<std::vector<std::byte>> Machine::save_state() {
  const DevicesAtRest devices(*parts_);
  return vmm::save_state(*parts_);
}

uvm::Status Machine::restore_state(std::span<const std::byte> state) {
  const DevicesAtRest devices(*parts_);
  return vmm::restore_state(*parts_, state, ClockPolicy::Continue);
}

uvm::Space& Machine::space() {
  return parts_->memory->space();
}

std::string Machine::memory_map() const {
  return format_memory_map(parts_->memory->space());
}

}  // namespace vmm

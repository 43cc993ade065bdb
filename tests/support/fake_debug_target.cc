#include "tests/support/fake_debug_target.h"

#include <algorithm>
#include <charconv>
#include <sstream>
#include <utility>

namespace test {

using namespace vmm::gdb;

namespace {

constexpr std::size_t kXsaveBytes = 4096;

std::string address_text(std::uint64_t address) {
  std::ostringstream text;
  text << "0x" << std::hex << address;
  return text.str();
}

}  // namespace

FakeDebugTarget::FakeDebugTarget(std::uint32_t threads, XsaveLayout layout)
    : layout_(layout), registers_(threads) {
  for (RegisterFile& file : registers_) file.xsave.resize(kXsaveBytes / sizeof(std::uint32_t));
}

void FakeDebugTarget::map(std::uint64_t address, std::span<const std::byte> bytes) {
  map(address, bytes.size());
  static_cast<void>(write_memory({}, address, bytes));
}

void FakeDebugTarget::map(std::uint64_t address, std::size_t bytes) {
  for (std::uint64_t page = address / kPage; page <= (address + bytes - 1) / kPage; ++page)
    virtual_.try_emplace(page, kPage);
}

void FakeDebugTarget::map_physical(std::uint64_t address, std::size_t bytes) {
  for (std::uint64_t page = address / kPage; page <= (address + bytes - 1) / kPage; ++page)
    physical_.try_emplace(page, kPage);
}

std::string FakeDebugTarget::bytes_at(std::uint64_t address, std::size_t count) const {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    const auto page = virtual_.find((address + i) / kPage);
    if (page == virtual_.end()) break;
    text += static_cast<char>(page->second[(address + i) % kPage]);
  }
  return text;
}

FakeDebugTarget::State FakeDebugTarget::state() const {
  const uvm::MutexLock lock(mutex_);
  return state_;
}
std::set<Breakpoint> FakeDebugTarget::breakpoints() const {
  const uvm::MutexLock lock(mutex_);
  return breakpoints_;
}
std::vector<ThreadAction> FakeDebugTarget::last_actions() const {
  const uvm::MutexLock lock(mutex_);
  return actions_;
}
std::vector<std::string> FakeDebugTarget::calls() const {
  const uvm::MutexLock lock(mutex_);
  return calls_;
}
StepFlags FakeDebugTarget::flags() const {
  const uvm::MutexLock lock(mutex_);
  return flags_;
}
void FakeDebugTarget::fail_next(uvm::Error error) {
  const uvm::MutexLock lock(mutex_);
  failure_ = std::move(error);
}
std::optional<uvm::Error> FakeDebugTarget::take_failure() {
  return std::exchange(failure_, std::nullopt);
}

uvm::Result<StopEvent> FakeDebugTarget::attach(StopListener& listener) {
  const uvm::MutexLock lock(mutex_);
  if (auto failure = take_failure()) return *std::move(failure);
  note("attach");
  listener_ = &listener;
  state_ = State::Stopped;
  flags_ = StepFlags::Default;
  return StopEvent{StopReason::Signal, {}, 5, 0, 0, {}, {}};
}

void FakeDebugTarget::detach(AfterDetach after) {
  const uvm::MutexLock lock(mutex_);
  note(after == AfterDetach::Run ? "detach" : "detach stopped");
  listener_ = nullptr;
  breakpoints_.clear();
  state_ = State::Detached;
}

void FakeDebugTarget::kill() {
  const uvm::MutexLock lock(mutex_);
  note("kill");
}

void FakeDebugTarget::stop(const StopEvent& event) {
  StopListener* listener = nullptr;
  {
    const uvm::MutexLock lock(mutex_);
    if (state_ != State::Resumed) return;
    state_ = State::Stopped;
    listener = listener_;
  }
  listener->stopped(event);
}

uvm::Status FakeDebugTarget::resume(std::span<const ThreadAction> actions) {
  std::optional<StopEvent> event;
  {
    const uvm::MutexLock lock(mutex_);
    if (auto failure = take_failure()) return *std::move(failure);
    note("resume");
    actions_.assign(actions.begin(), actions.end());
    state_ = State::Resumed;
    event = run_ahead();
  }
  if (event) stop(*event);
  return uvm::ok();
}

std::optional<StopEvent> FakeDebugTarget::run_ahead() {
  for (const ThreadAction& action : actions_) {
    RegisterFile& file = registers_[action.thread.tid - 1];
    if (action.kind == ThreadAction::Kind::Continue) continue;
    file.rip = action.kind == ThreadAction::Kind::Step ? file.rip + 1 : std::max(file.rip + 1, action.end);
    return StopEvent{StopReason::Step, action.thread, 5, 0, 0, {}, {}};
  }
  for (const ThreadAction& action : actions_) {
    RegisterFile& file = registers_[action.thread.tid - 1];
    for (const Breakpoint& each : breakpoints_) {
      const bool executes = each.kind == BreakpointKind::Software || each.kind == BreakpointKind::Hardware;
      if (!executes || each.address <= file.rip || each.address - file.rip > kSight) continue;
      file.rip = each.address;
      return StopEvent{each.kind == BreakpointKind::Software ? StopReason::SoftwareBreakpoint
                                                             : StopReason::HardwareBreakpoint,
                       action.thread,
                       5,
                       0,
                       0,
                       {},
                       {}};
    }
  }
  return std::nullopt;
}

void FakeDebugTarget::interrupt() {
  ThreadId thread;
  {
    const uvm::MutexLock lock(mutex_);
    note("interrupt");
    if (!actions_.empty()) thread = actions_.front().thread;
  }
  stop({StopReason::Interrupted, thread, 2, 0, 0, {}, {}});
}

void FakeDebugTarget::set_step_flags(StepFlags flags) {
  const uvm::MutexLock lock(mutex_);
  flags_ = flags;
}

std::vector<ThreadInfo> FakeDebugTarget::threads() {
  std::vector<ThreadInfo> all;
  for (std::uint32_t tid = 1; tid <= registers_.size(); ++tid)
    all.push_back({{1, tid}, "vcpu" + std::to_string(tid - 1)});
  return all;
}

std::string FakeDebugTarget::thread_state(ThreadId /*thread*/) {
  return "halted, CPL 0 <idle>";
}

uvm::Status FakeDebugTarget::read_registers(ThreadId thread, RegisterGroups /*groups*/, RegisterFile& file) {
  if (thread.tid == 0 || thread.tid > registers_.size())
    return uvm::Error(uvm::ErrorKind::NotFound, "no such vCPU");
  file = registers_[thread.tid - 1];
  return uvm::ok();
}

uvm::Status FakeDebugTarget::write_registers(ThreadId thread, RegisterGroups groups,
                                             const RegisterFile& file) {
  if (thread.tid == 0 || thread.tid > registers_.size())
    return uvm::Error(uvm::ErrorKind::NotFound, "no such vCPU");
  if (ignores_writes_) return uvm::ok();
  RegisterFile& mine = registers_[thread.tid - 1];
  RegisterFile fresh = file;
  if (!contains(groups, RegisterGroups::General)) {
    fresh.gpr = mine.gpr;
    fresh.rip = mine.rip;
    fresh.rflags = mine.rflags;
  }
  if (!contains(groups, RegisterGroups::Vector)) fresh.xsave = mine.xsave;
  mine = std::move(fresh);
  return uvm::ok();
}

uvm::Result<std::size_t> FakeDebugTarget::read_memory(AddressSpace space, std::uint64_t address,
                                                      std::span<std::byte> to) {
  std::size_t done = 0;
  while (done < to.size()) {
    const std::uint64_t at = address + done;
    if (at < address) break;
    const auto page = pages(space).find(at / kPage);
    if (page == pages(space).end()) break;
    const std::size_t count = std::min<std::size_t>(to.size() - done, kPage - at % kPage);
    std::copy_n(page->second.begin() + static_cast<std::ptrdiff_t>(at % kPage), count,
                to.begin() + static_cast<std::ptrdiff_t>(done));
    done += count;
  }
  if (done == 0 && !to.empty()) {
    return uvm::Error(uvm::ErrorKind::NoMapping,
                      address_text(address) + " is not mapped: the page table entry is empty");
  }
  return done;
}

uvm::Status FakeDebugTarget::write_memory(AddressSpace space, std::uint64_t address,
                                          std::span<const std::byte> from) {
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (!pages(space).contains((address + i) / kPage))
      return uvm::Error(uvm::ErrorKind::NoMapping, address_text(address + i) + " is not mapped");
  }
  for (std::size_t i = 0; i < from.size(); ++i)
    pages(space)[(address + i) / kPage][(address + i) % kPage] = from[i];
  return uvm::ok();
}

uvm::Result<MemoryRegion> FakeDebugTarget::memory_region(AddressSpace space, std::uint64_t address) {
  const std::uint64_t begin = address / kPage * kPage;
  const bool mapped = pages(space).contains(address / kPage);
  return MemoryRegion{begin, begin + kPage, mapped, true, false};
}

uvm::Status FakeDebugTarget::insert_breakpoint(AddressSpace /*space*/, const Breakpoint& breakpoint) {
  const uvm::MutexLock lock(mutex_);
  if (auto failure = take_failure()) return *std::move(failure);
  breakpoints_.insert(breakpoint);
  return uvm::ok();
}

uvm::Status FakeDebugTarget::remove_breakpoint(AddressSpace /*space*/, const Breakpoint& breakpoint) {
  const uvm::MutexLock lock(mutex_);
  breakpoints_.erase(breakpoint);
  return uvm::ok();
}

uvm::Status FakeDebugTarget::monitor(ThreadId /*thread*/, std::string_view line, const TextSink& out) {
  constexpr std::string_view kEcho = "echo ";
  constexpr std::string_view kFlood = "flood ";
  if (line.starts_with(kEcho)) {
    out(std::string(line.substr(kEcho.size())) + "\n");
    return uvm::ok();
  }
  if (line.starts_with(kFlood)) {
    const std::string_view number = line.substr(kFlood.size());
    std::size_t lines = 0;
    std::from_chars(number.data(), number.data() + number.size(), lines);
    std::string line_of_many(1000, 'x');
    line_of_many += '\n';
    for (std::size_t i = 0; i < lines; ++i) out(line_of_many);
    return uvm::ok();
  }
  return uvm::Error(uvm::ErrorKind::Invalid, "'" + std::string(line) + "' is not a command", "try help");
}

}  // namespace test

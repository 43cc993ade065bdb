#include "tests/support/model/process_runner.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include "tests/support/model/device_storm.h"
#include "tests/support/process.h"

namespace test::model {
namespace {

namespace scribe = guest::programs::scribe;
using uvm::Error;
using uvm::ErrorKind;
using uvm::Status;

constexpr std::chrono::seconds kPatience{120};
constexpr const char* kLimit = "8M";

Error wrong(const std::string& what) {
  return {ErrorKind::Invalid, what};
}

bool is_limited(Shape shape) {
  return shape == Shape::Limited || shape == Shape::LimitedDisk;
}

Status write_disk(const std::string& path) {
  constexpr std::uint64_t kBytes = 256 << 10;
  std::vector<std::uint64_t> words(kBytes / sizeof(std::uint64_t));
  for (std::uint64_t i = 0; i < words.size(); ++i) words[i] = scribe::disk_word(0, i);
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(words.data()), static_cast<std::streamsize>(kBytes));
  file.close();
  return file ? uvm::ok() : wrong("no disk " + path);
}

}  // namespace

std::optional<std::string> ProcessRunner::run(const std::vector<ProcessStep>& steps) {
  const auto told = [this](const std::string& where, const Error& error) {
    return where + ": " + error.text() + "\n" + outputs();
  };
  for (const ProcessStep& one : steps) {
    if (is_left_out(one)) continue;
    ++done_[static_cast<std::size_t>(one.act)];
    if (const Status done = step(one); !done) return told("at " + to_code(one), done.error());
    auto& member = members_.at(next_probe_++ % kMachines);
    if (!member) continue;
    const Status seen = check(*member, Extent::Some);
    if (!seen) {
      return told("machine " + std::to_string((next_probe_ - 1) % kMachines) + " after " + to_code(one),
                  seen.error());
    }
  }
  if (const Status all = check_all(); !all) return told("at the end", all.error());
  return std::nullopt;
}

bool ProcessRunner::is_left_out(const ProcessStep& step) const {
  const bool is_there = members_.at(step.machine).has_value();
  if (step.act == Act::Start) return is_there;
  if (step.act == Act::Restore) return is_there || snapshots_.at(step.place).identity == 0;
  if (!is_there) return true;
  const Member& member = *members_.at(step.machine);
  const bool can_pin = member.process->has_pins() && !member.is_limited;
  auto& held = member.process->held();
  switch (step.act) {
    case Act::Fork:
      return members_.at(step.other).has_value();
    case Act::Pause:
      return member.is_paused;
    case Act::Resume:
      return !member.is_paused;
    case Act::Write:
      return step.door == Door::Device && !can_pin;
    case Act::Pin:
      return !can_pin || held.at(step.place);
    case Act::Dma:
    case Act::Unpin:
      return !held.at(step.place);
    case Act::Leave:
      return std::ranges::none_of(held, [](const auto& one) { return one.has_value(); });
    case Act::Reset:
    case Act::Drop:
      return !member.checkpoints.contains(step.place);
    case Act::Checkpoint:
      return member.writes_disk;
    case Act::Save:
      return member.writes_disk || (step.based == Based::Yes && !can_build(member, step));
    default:
      return false;
  }
}

bool ProcessRunner::can_build(const Member& member, const ProcessStep& step) const {
  const Snapshot& base = snapshots_.at(step.other);
  return base.identity != 0 && is_whole(base) && base.is_large == member.is_large &&
         !rests_on(step.other, step.place);
}

Status ProcessRunner::step(const ProcessStep& step) {
  switch (step.act) {
    case Act::Start:
      return start(step);
    case Act::Restore:
      return restore(step);
    case Act::Fork:
      return fork(step);
    case Act::Kill:
    case Act::Quit:
      return end(step);
    case Act::Pause:
    case Act::Resume:
      return pause(step);
    case Act::Write:
      return write(step);
    case Act::Poke:
      return poke(step);
    case Act::Pin:
      return pin(step);
    case Act::Dma:
      return dma(step);
    case Act::Unpin:
      members_.at(step.machine)->process->held().at(step.place).reset();
      return uvm::ok();
    case Act::Leave:
      members_.at(step.machine)->process->leave();
      return uvm::ok();
    case Act::Checkpoint:
    case Act::Reset:
    case Act::Drop:
      return checkpoint(step);
    case Act::Save:
      return save(step);
    case Act::Check:
      return check(*members_.at(step.machine), Extent::All);
  }
  return uvm::ok();
}

uvm::Result<std::vector<std::string>> ProcessRunner::options_of(Shape shape) const {
  const std::string disk = folder_ + "/disk-" + std::to_string(next_name_);
  std::vector<std::string> words{"-m", is_limited(shape) ? "28M" : "16M"};
  std::string arguments;
  if (shape == Shape::Shared) words.insert(words.end(), {"--memory-backing", "shared"});
  if (shape == Shape::Anonymous) words.insert(words.end(), {"--memory-backing", "anonymous"});
  if (shape == Shape::TwoVcpus) words.insert(words.end(), {"-c", "2"});
  if (is_limited(shape)) {
    words.insert(words.end(), {"--memory-limit", kLimit});
    arguments = "ballast=10M ";
  }
  if (shape == Shape::DiskRead || shape == Shape::LimitedDisk) {
    words.insert(words.end(), {"--disk", disk + ",ro"});
    arguments += "disk=read";
  }
  if (shape == Shape::DiskWritten) {
    words.insert(words.end(), {"--disk", disk + ",fork=copy"});
    arguments += "disk=write";
  }
  words.insert(words.end(), {"--builtin-args", arguments});
  UVMM_CHECK(write_disk(disk));
  return words;
}

Status ProcessRunner::start(const ProcessStep& step) {
  std::vector<std::string> words{program_, "run", "--builtin", "scribe"};
  UVMM_TRY(const auto more, options_of(step.shape));
  words.insert(words.end(), more.begin(), more.end());
  UVMM_TRY(auto process, ScribeMachine::start(words, folder_, std::to_string(next_name_++)));
  members_.at(step.machine) = Member{.process = std::move(process),
                                     .is_large = is_limited(step.shape),
                                     .is_limited = is_limited(step.shape),
                                     .writes_disk = step.shape == Shape::DiskWritten};
  return uvm::ok();
}

Status ProcessRunner::restore(const ProcessStep& step) {
  const Snapshot& snapshot = snapshots_.at(step.place);
  std::vector<std::string> words{program_, "run", "--restore", place_of(step.place)};
  if (step.then == Then::Run) words.emplace_back("--resume");
  if (is_limited(step.shape)) words.insert(words.end(), {"--memory-limit", kLimit});
  auto process = ScribeMachine::start(words, folder_, std::to_string(next_name_++));
  if (!is_whole(snapshot)) return process ? wrong("what it builds on was replaced, and it runs") : uvm::ok();
  if (!process) return process.error();
  members_.at(step.machine) = Member{.process = *std::move(process),
                                     .memory = snapshot.memory,
                                     .is_large = snapshot.is_large,
                                     .is_limited = is_limited(step.shape),
                                     .is_paused = step.then == Then::Stay};
  return uvm::ok();
}

Status ProcessRunner::fork(const ProcessStep& step) {
  Member& member = *members_.at(step.machine);
  std::vector<std::string> words{program_, "fork", member.process->control()};
  if (step.then == Then::Stay) words.emplace_back("--paused");
  std::unique_ptr<ScribeMachine> child;
  UVMM_TRY(const ProcessMemory memory, copied(member, step.storm, [&]() -> Status {
             UVMM_TRY(child, ScribeMachine::start(words, folder_, std::to_string(next_name_++)));
             return uvm::ok();
           }));
  members_.at(step.other) = Member{.process = std::move(child),
                                   .memory = memory,
                                   .is_large = member.is_large,
                                   .writes_disk = member.writes_disk,
                                   .is_paused = step.then == Then::Stay};
  return uvm::ok();
}

Status ProcessRunner::end(const ProcessStep& step) {
  const std::unique_ptr<ScribeMachine> process = std::move(members_.at(step.machine)->process);
  members_.at(step.machine).reset();
  if (step.act == Act::Kill) {
    process->kill();
    return uvm::ok();
  }
  UVMM_CHECK(process->ask("quit"));
  const int status = process->wait();
  return status == 0 ? uvm::ok() : wrong("it ends with " + std::to_string(status) + ": " + process->output());
}

Status ProcessRunner::pause(const ProcessStep& step) {
  Member& member = *members_.at(step.machine);
  member.is_paused = step.act == Act::Pause;
  return member.process->ask(member.is_paused ? "pause" : "resume");
}

Status ProcessRunner::write(const ProcessStep& step) {
  Member& member = *members_.at(step.machine);
  const std::uint64_t target = member.memory.target() + step.count;
  if (step.door == Door::Device) {
    UVMM_CHECK(member.process->command(scribe::kTarget, target));
  } else {
    UVMM_TRY(Look look, member.process->look());
    UVMM_CHECK(look.set_word(scribe::kTarget, target));
  }
  member.memory.set_target(target);
  return uvm::ok();
}

Status ProcessRunner::poke(const ProcessStep& step) {
  Member& member = *members_.at(step.machine);
  UVMM_TRY(Look look, member.process->look());
  const std::uint64_t value = next_value_++;
  UVMM_CHECK(look.set_word(scribe::page_at(step.page) + 8 * scribe::kWordsApart * scribe::kDebugger, value));
  member.memory.set(scribe::kDebugger, step.page, value);
  return uvm::ok();
}

Status ProcessRunner::pin(const ProcessStep& step) {
  return members_.at(step.machine)->process->pin(step.place, step.page, step.count);
}

Status ProcessRunner::dma(const ProcessStep& step) {
  Member& member = *members_.at(step.machine);
  const ScribeMachine::Held& held = *member.process->held().at(step.place);
  for (std::uint64_t i = 0; i < held.count; ++i) {
    const std::uint64_t value = next_value_++;
    held.word(i).store(value);
    member.memory.set(scribe::kDevice, held.page + i, value);
  }
  return uvm::ok();
}

uvm::Result<ProcessMemory> ProcessRunner::copied(Member& member, Storm storm,
                                                 const std::function<Status()>& work) {
  ProcessMemory before = member.memory;
  if (storm == Storm::No) {
    UVMM_CHECK(work());
    return before;
  }
  DeviceStorm device(member.process->held(), next_value_);
  const Status worked = work();
  next_value_ = device.stop();
  UVMM_CHECK(Status(worked));
  for (const auto& held : member.process->held()) {
    for (std::uint64_t i = 0; held && i < held->count; ++i) {
      const std::uint64_t value = held->word(i).load();
      before.set_up_to(scribe::kDevice, held->page + i, value);
      member.memory.set(scribe::kDevice, held->page + i, value);
    }
  }
  return before;
}

Status ProcessRunner::checkpoint(const ProcessStep& step) {
  Member& member = *members_.at(step.machine);
  const std::string name = std::to_string(step.place);
  if (step.act == Act::Drop) {
    member.checkpoints.erase(step.place);
    return member.process->ask("drop", name);
  }
  if (step.act == Act::Reset) {
    UVMM_CHECK(member.process->ask("reset", name));
    member.memory = member.checkpoints.at(step.place);
    return uvm::ok();
  }
  UVMM_TRY(member.checkpoints[step.place],
           copied(member, step.storm, [&] { return member.process->ask("checkpoint", name); }));
  return uvm::ok();
}

std::string ProcessRunner::place_of(std::size_t snapshot) const {
  return folder_ + "/snapshot-" + std::to_string(snapshot);
}

bool ProcessRunner::is_whole(const Snapshot& snapshot) const {
  if (snapshot.base == 0) return true;
  const Snapshot& base = snapshots_.at(snapshot.base_place);
  return base.identity == snapshot.base && is_whole(base);
}

bool ProcessRunner::rests_on(std::size_t snapshot, std::size_t place) const {
  if (snapshot == place) return true;
  const Snapshot& one = snapshots_.at(snapshot);
  return one.base != 0 && rests_on(one.base_place, place);
}

Status ProcessRunner::save(const ProcessStep& step) {
  Member& member = *members_.at(step.machine);
  std::vector<std::string> words{program_, "snapshot", member.process->control(), place_of(step.place)};
  if (step.based == Based::Yes) words.insert(words.end(), {"--base", place_of(step.other)});
  UVMM_TRY(const ProcessMemory memory, copied(member, step.storm, [&]() -> Status {
             const ProcessResult saved = run_process(words, {kPatience, {}});
             return saved.status == 0 ? uvm::ok() : wrong("no snapshot: " + saved.err);
           }));
  Snapshot& snapshot = snapshots_.at(step.place);
  snapshot = {next_value_++, 0, step.other, member.is_large, memory};
  if (step.based == Based::Yes) snapshot.base = snapshots_.at(step.other).identity;
  return uvm::ok();
}

}  // namespace test::model

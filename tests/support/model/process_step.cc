#include "tests/support/model/process_step.h"

#include <array>
#include <random>

#include "guest/programs/scribe_layout.h"

namespace test::model {
namespace {

namespace scribe = guest::programs::scribe;

constexpr std::array<const char*, kActs> kActNames{"Start",  "Restore",    "Fork",  "Kill", "Quit", "Pause",
                                                   "Resume", "Write",      "Poke",  "Pin",  "Dma",  "Unpin",
                                                   "Leave",  "Checkpoint", "Reset", "Drop", "Save", "Check"};

struct Weight {
  Act act;
  std::uint64_t weight;
};
constexpr Weight kWeights[] = {
    {Act::Start, 6}, {Act::Restore, 6}, {Act::Fork, 10},  {Act::Kill, 2},        {Act::Quit, 1},
    {Act::Pause, 6}, {Act::Resume, 8},  {Act::Write, 24}, {Act::Poke, 12},       {Act::Pin, 10},
    {Act::Dma, 12},  {Act::Unpin, 4},   {Act::Leave, 2},  {Act::Checkpoint, 10}, {Act::Reset, 14},
    {Act::Drop, 1},  {Act::Save, 7},    {Act::Check, 6},
};

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}

  ProcessStep next() {
    ProcessStep step{.act = some_act(), .machine = below(kMachines)};
    switch (step.act) {
      case Act::Start:
        step.shape = static_cast<Shape>(below(kShapes));
        break;
      case Act::Restore:
      case Act::Fork:
        step.then = below(3) == 0 ? Then::Stay : Then::Run;
        if (step.act == Act::Restore) step.place = below(kSnapshots);
        if (step.act == Act::Restore && below(4) == 0) step.shape = Shape::Limited;
        if (step.act == Act::Fork) step.other = below(kMachines);
        break;
      case Act::Write:
        step.door = below(3) == 0 ? Door::Device : Door::Debugger;
        // A few, or so many that what comes next finds the guest at work.
        step.count = below(3) == 0 ? 100'000 + below(400'000) : 1 + below(300);
        break;
      case Act::Poke:
        step.page = some_page();
        break;
      case Act::Pin:
        choose_range(step);
        step.place = below(kDevices);
        break;
      case Act::Dma:
      case Act::Unpin:
        step.place = below(kDevices);
        break;
      case Act::Checkpoint:
      case Act::Reset:
      case Act::Drop:
        step.place = below(kMoments);
        break;
      case Act::Save:
        step.place = below(kSnapshots);
        step.based = below(2) == 0 ? Based::Yes : Based::No;
        if (step.based == Based::Yes) step.other = below(kSnapshots);
        break;
      default:
        break;
    }
    const bool is_image = step.act == Act::Fork || step.act == Act::Checkpoint || step.act == Act::Save;
    if (is_image && below(2) == 0) step.storm = Storm::Yes;
    return step;
  }

 private:
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  std::uint64_t some_page() { return below(4) == 0 ? below(scribe::kPages) : below(24); }

  void choose_range(ProcessStep& step) {
    step.page = some_page();
    const std::uint64_t most = step.page < scribe::kTogether ? scribe::kTogether - step.page : 1;
    step.count = std::min<std::uint64_t>(most, 1 + below(below(4) == 0 ? 200 : 8));
  }

  Act some_act() {
    std::uint64_t sum = 0;
    for (const Weight& one : kWeights) sum += one.weight;
    std::uint64_t at = below(sum);
    for (const Weight& one : kWeights) {
      if (at < one.weight) return one.act;
      at -= one.weight;
    }
    return Act::Check;
  }

  std::mt19937_64 random_;
};

}  // namespace

std::vector<ProcessStep> generate_process_steps(std::uint64_t seed, std::size_t steps) {
  Generator generator(seed);
  std::vector<ProcessStep> all{{.act = Act::Start, .shape = static_cast<Shape>(seed % kShapes)}};
  while (all.size() < steps) all.push_back(generator.next());
  return all;
}

const char* to_string(Act act) {
  return kActNames.at(static_cast<std::size_t>(act));
}

std::string to_code(const ProcessStep& step) {
  static constexpr const char* kNames[] = {"Shared",   "Anonymous",   "Limited",    "TwoVcpus",
                                           "DiskRead", "DiskWritten", "LimitedDisk"};
  std::string text = std::string(".act = Act::") + to_string(step.act);
  const auto number = [&text](const char* name, std::uint64_t value, std::uint64_t usual) {
    if (value != usual) text += std::string(", .") + name + " = " + std::to_string(value);
  };
  const auto name = [&text](bool is_usual, const char* value) {
    if (!is_usual) text += std::string(", .") + value;
  };
  number("machine", step.machine, 0);
  number("other", step.other, 0);
  number("place", step.place, 0);
  number("page", step.page, 0);
  number("count", step.count, 1);
  if (step.shape != Shape::Shared) {
    text += std::string(", .shape = Shape::") + kNames[static_cast<std::size_t>(step.shape)];
  }
  name(step.door == Door::Debugger, "door = Door::Device");
  name(step.then == Then::Run, "then = Then::Stay");
  name(step.storm == Storm::No, "storm = Storm::Yes");
  name(step.based == Based::No, "based = Based::Yes");
  return "{" + text + "},";
}

std::string to_code(const std::vector<ProcessStep>& steps) {
  std::string text;
  for (const ProcessStep& step : steps) text += "      " + to_code(step) + "\n";
  return text;
}

}  // namespace test::model

#include "vmm/debug/monitor.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "vmm/debug/monitor_verbs.h"

namespace vmm::debug {
namespace {

using uvm::Error;
using uvm::ErrorKind;
using uvm::Result;
using uvm::Status;

Status help(MonitorCall& call);

// Sorted for people; a verb of two words stands before one that is its first word alone.
constexpr std::array kVerbs{
    MonitorVerb{"help", "[VERB]", "what there is to say", help},
    MonitorVerb{"info uvm map", "", "the guest's memory as the VM system has it", monitor::uvm_map},
    MonitorVerb{"info uvm shares", "", "what of the guest's memory other guests have too", monitor::shares},
    MonitorVerb{"info pins", "", "what holds pages in place", monitor::pins},
    MonitorVerb{"info vcpus", "", "where each vCPU is", monitor::vcpus},
    MonitorVerb{"info registers", "", "all registers of this vCPU", monitor::registers},
    MonitorVerb{"info mem", "", "what this vCPU's page tables map", monitor::mapped},
    MonitorVerb{"info breakpoints", "", "what is planted where", monitor::breakpoints},
    MonitorVerb{"xp", "[/COUNTbhwg] GPA", "physical memory in hexadecimal", monitor::examine_physical},
    MonitorVerb{"gva2gpa", "ADDRESS", "where a linear address lies", monitor::translate},
    MonitorVerb{"cr3", "[auto|VALUE|vcpu N]", "whose page tables translate", monitor::cr3},
    MonitorVerb{"poke-shared", "[on|off]", "whether writes may reach memory that others see",
                monitor::poke_shared},
    MonitorVerb{"dump-memory", "FILE ADDRESS BYTES", "memory into a file (phys:ADDRESS: physical)",
                monitor::dump},
    MonitorVerb{"load", "FILE ADDRESS", "a file into memory (phys:ADDRESS: physical)", monitor::load},
    MonitorVerb{"search", "ADDRESS BYTES HEX", "where bytes occur (phys:ADDRESS: physical)", monitor::search},
    MonitorVerb{"core", "FILE", "all of RAM and the registers as an ELF core file", monitor::core},
    MonitorVerb{"checkpoint", "[NAME]", "remember the machine as it is now", monitor::checkpoint},
    MonitorVerb{"reset", "[NAME]", "make it what it was at the checkpoint", monitor::reset},
    MonitorVerb{"fork", "", "a copy of the machine, a process of its own", monitor::fork},
    MonitorVerb{"kaslr", "", "where the Linux kernel runs", monitor::kaslr},
    MonitorVerb{"debug-caps", "", "which debug facilities this host really has", monitor::capabilities},
};

Status help(MonitorCall& call) {
  for (const MonitorVerb& verb : kVerbs) {
    if (!call.words.empty() && verb.name.find(call.words[0]) == std::string_view::npos) continue;
    std::string line(verb.name);
    if (!verb.usage.empty()) line += " " + std::string(verb.usage);
    line.resize(std::max<std::size_t>(line.size() + 1, 34), ' ');
    call.out(line + std::string(verb.help) + "\n");
  }
  return uvm::ok();
}

std::vector<std::string> split(std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : line) {
    if (c != ' ' && c != '\t') {
      word += c;
    } else if (!word.empty()) {
      words.push_back(std::exchange(word, {}));
    }
  }
  if (!word.empty()) words.push_back(word);
  return words;
}

/// How many words of `words` the verb's name takes; 0 when it is another verb.
std::size_t matches(const MonitorVerb& verb, const std::vector<std::string>& words) {
  const auto name = split(verb.name);
  if (words.size() < name.size() || !std::equal(name.begin(), name.end(), words.begin())) return 0;
  return name.size();
}

}  // namespace

std::span<const MonitorVerb> monitor_verbs() {
  return kVerbs;
}

Status run_monitor(Inferior& inferior, std::size_t vcpu, std::string_view line, const TextSink& out) {
  auto words = split(line);
  if (words.empty()) words.emplace_back("help");
  // "xp/4gx" is "xp /4gx", as people type it.
  if (words[0].rfind("xp/", 0) == 0) {
    words.insert(words.begin() + 1, words[0].substr(2));
    words[0] = "xp";
  }
  for (const MonitorVerb& verb : kVerbs) {
    const std::size_t taken = matches(verb, words);
    if (taken == 0) continue;
    MonitorCall call{inferior, vcpu, {words.begin() + static_cast<std::ptrdiff_t>(taken), words.end()}, out};
    return verb.run(call);
  }
  return Error(ErrorKind::Invalid, "monitor has no '" + std::string(line) + "'",
               "'monitor help' lists what it has");
}

Result<std::uint64_t> parse_number(std::string_view text, std::string_view what) {
  std::string_view digits = text;
  unsigned shift = 0;
  int base = 10;
  if (digits.rfind("0x", 0) == 0) {
    digits.remove_prefix(2);
    base = 16;
  } else if (!digits.empty()) {
    constexpr std::string_view kSuffixes = "kmg";
    const auto suffix = kSuffixes.find(digits.back());
    if (suffix != std::string_view::npos) {
      shift = 10 * (static_cast<unsigned>(suffix) + 1);
      digits.remove_suffix(1);
    }
  }
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size() ||
      (value << shift) >> shift != value) {
    return Error(ErrorKind::Invalid, std::string(what) + " '" + std::string(text) + "' is not a number",
                 "say 4096, 0x1000, 16k or 1m");
  }
  return value << shift;
}

}  // namespace vmm::debug

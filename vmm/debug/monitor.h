// The debugger's own verbs: `monitor …` in gdb today, the control socket later; one table for both.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/debug/inferior.h"

namespace vmm::debug {

/// Text as it comes; whole or partial lines.
using TextSink = std::function<void(std::string_view)>;

struct MonitorCall {
  Inferior& inferior;
  std::size_t vcpu;                // whose registers and addresses are meant
  std::vector<std::string> words;  // after the verb's own
  const TextSink& out;
};

struct MonitorVerb {
  std::string_view name;   // one or two words: "info mem"
  std::string_view usage;  // arguments, "ADDRESS BYTES FILE"
  std::string_view help;   // one line
  uvm::Status (*run)(MonitorCall& call);
};

[[nodiscard]] std::span<const MonitorVerb> monitor_verbs();

/// Runs one line. Errors: Invalid for a word nobody knows (the text says how to go on) and for bad arguments;
/// what the verb says. Thread: the debugger's, with the machine stopped.
[[nodiscard]] uvm::Status run_monitor(Inferior& inferior, std::size_t vcpu, std::string_view line,
                                      const TextSink& out);

/// "0x1000", "4096", "16k", "1m"; Invalid names `what`.
[[nodiscard]] uvm::Result<std::uint64_t> parse_number(std::string_view text, std::string_view what);

}  // namespace vmm::debug

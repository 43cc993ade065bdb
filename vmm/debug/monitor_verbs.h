// Internal to the monitor: its verbs, by file. Each checks its words and says how to use it when they are
// wrong.
#pragma once

#include "vmm/debug/monitor.h"

namespace vmm::debug::monitor {

// monitor_info.cc
uvm::Status uvm_map(MonitorCall& call);
uvm::Status shares(MonitorCall& call);
uvm::Status pins(MonitorCall& call);
uvm::Status vcpus(MonitorCall& call);
uvm::Status registers(MonitorCall& call);
uvm::Status mapped(MonitorCall& call);
uvm::Status breakpoints(MonitorCall& call);
uvm::Status kaslr(MonitorCall& call);
uvm::Status capabilities(MonitorCall& call);

// monitor_memory.cc
uvm::Status examine_physical(MonitorCall& call);
uvm::Status translate(MonitorCall& call);
uvm::Status cr3(MonitorCall& call);
uvm::Status poke_shared(MonitorCall& call);
uvm::Status dump(MonitorCall& call);
uvm::Status load(MonitorCall& call);
uvm::Status search(MonitorCall& call);
uvm::Status core(MonitorCall& call);

// monitor_copies.cc
uvm::Status checkpoint(MonitorCall& call);
uvm::Status reset(MonitorCall& call);
uvm::Status fork(MonitorCall& call);

/// "0x…" with all 16 digits.
[[nodiscard]] std::string hex16(std::uint64_t value);
/// Invalid with "usage: …" unless there are so many words.
[[nodiscard]] uvm::Status need_words(const MonitorCall& call, std::size_t count, std::string_view usage);
/// "ADDRESS" for the call's vCPU, "phys:ADDRESS" for physical memory.
[[nodiscard]] uvm::Result<Place> parse_place(const MonitorCall& call, std::string_view word);

}  // namespace vmm::debug::monitor

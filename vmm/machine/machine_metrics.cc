#include "vmm/machine/machine_metrics.h"

#include <array>
#include <atomic>
#include <numeric>
#include <utility>

#include "vmm/machine/parts.h"

namespace vmm {
namespace {

/// Of everything that is memory.
uvm::Residency residency_of(uvm::Space& space) {
  uvm::Residency sum;
  for (const uvm::EntryInfo& entry : space.entries()) {
    if (entry.tenure == uvm::Tenure::None) continue;
    const uvm::Residency part = space.residency(entry.range);
    sum.resident += part.resident;
    sum.priv += part.priv;
    sum.shared += part.shared;
    sum.huge += part.huge;
  }
  return sum;
}

void add_faults(const uvm::FaultStatistics& faults, MetricWriter& writer) {
  constexpr const char* kName = "uvmm_faults_total";
  constexpr const char* kHelp = "Faults that the VM system resolved, by case of its table.";
  const std::array<std::pair<const char*, std::uint64_t>, 7> cases = {{
      {"already", faults.already},
      {"1A", faults.anon},
      {"1B", faults.anon_copied},
      {"2A", faults.object},
      {"2B", faults.object_copied},
      {"zero", faults.zero_filled},
      {"refused", faults.refused},
  }};
  for (const auto& [which, count] : cases) {
    writer.counter(kName, kHelp, count, MetricWriter::label("case", which));
  }
  writer.counter("uvmm_faults_asked_total", "Faults that were asked for, good and bad.", faults.faults);
  writer.counter("uvmm_faults_left_to_host_total", "Faults whose range the host fills by itself.",
                 faults.left_to_host);
  writer.counter("uvmm_pages_entered_total", "Pages that were given a translation.", faults.pages_entered);
  writer.counter("uvmm_cow_breaks_total", "Pages that the VM system copied for a write.",
                 faults.anon_copied + faults.object_copied);
  writer.counter("uvmm_debugger_pages_total", "Pages that a debugger touched.", faults.peeks,
                 MetricWriter::label("access", "read"));
  writer.counter("uvmm_debugger_pages_total", "", faults.pokes, MetricWriter::label("access", "write"));
}

void add_memory(Machine::Parts& parts, MetricWriter& writer) {
  uvm::Space& space = parts.memory->space();
  constexpr const char* kName = "uvmm_memory_bytes";
  constexpr const char* kHelp = "Guest memory, by where it is.";
  const uvm::Residency residency = residency_of(space);
  const uvm::ReclaimStatistics reclaim = space.reclaim_statistics();
  const auto gauge = [&](const char* kind, std::uint64_t bytes) {
    writer.gauge(kName, kHelp, bytes, MetricWriter::label("kind", kind));
  };
  gauge("configured", parts.config.memory);
  gauge("resident", residency.resident);
  gauge("private", residency.priv);
  gauge("shared", residency.shared);
  gauge("huge", residency.huge);
  gauge("swapped", reclaim.swapped);
  gauge("wired", space.pin_statistics().bytes);
  gauge("metadata", space.metadata_bytes());
  writer.counter("uvmm_host_cow_pages", "Private pages that the host made by itself and that are there.",
                 space.in_place_pages().by_host());
  if (reclaim.limit == 0) return;
  gauge("limit", reclaim.limit);
  writer.counter("uvmm_swap_pages_total", "Pages that went to swap or came back.", reclaim.outs,
                 MetricWriter::label("direction", "out"));
  writer.counter("uvmm_swap_pages_total", "", reclaim.ins, MetricWriter::label("direction", "in"));
}

void add_pins(const uvm::PinStatistics& pins, MetricWriter& writer) {
  writer.gauge("uvmm_pins", "Pins of guest memory that there are.", pins.pins);
  writer.counter("uvmm_pins_made_total", "Pins that there were, ever.", pins.made);
  writer.seconds("uvmm_pin_seconds_total", "Time that making pins took.", pins.spent);
}

void add_exits(const ExitCounts& exits, MetricWriter& writer) {
  const auto sums = exits.sums();
  for (std::size_t i = 0; i < sums.size(); ++i) {
    writer.counter("uvmm_exits_total", "Times that a vCPU left the guest, by reason.", sums[i],
                   MetricWriter::label("reason", ExitCounts::name(i)));
  }
}

void add_disk(const virtio::blk::Counters& counters, const std::string& label, MetricWriter& writer) {
  writer.counters("uvmm_disk_requests_total", "Requests that were answered.", label,
                  {{"read", counters.reads},
                   {"write", counters.writes},
                   {"flush", counters.flushes},
                   {"discard", counters.discards},
                   {"failed", counters.errors}});
  writer.counters("uvmm_disk_bytes_total", "Bytes that were read and written.", label,
                  {{"read", counters.read_bytes}, {"write", counters.written_bytes}});
}

void add_disks(const Machine::Parts& parts, MetricWriter& writer) {
  for (std::size_t i = 0; i < parts.disks.size(); ++i) {
    add_disk(*parts.disks[i].disk->counters(), MetricWriter::label("device", "blk" + std::to_string(i)),
             writer);
  }
}

void add_timing(const TimedCounter& timed, const std::string& what, MetricWriter& writer) {
  writer.counter("uvmm_" + what + "_total", "How often.", timed.count());
  writer.seconds("uvmm_" + what + "_seconds_total", "Time that it took, or that the vCPUs stood still.",
                 timed.spent());
}

}  // namespace

void add_network(const virtio::net::Counters& counters, const std::string& label, MetricWriter& writer) {
  writer.counters("uvmm_net_frames_total", "Frames, as the guest sees them.", label,
                  {{"received", counters.received_frames},
                   {"received_dropped", counters.received_drops},
                   {"sent", counters.sent_frames},
                   {"sent_dropped", counters.sent_drops}});
  writer.counters("uvmm_net_bytes_total", "Bytes of these frames.", label,
                  {{"received", counters.received_bytes}, {"sent", counters.sent_bytes}});
}

void add_sockets(const virtio::vsock::Counters& counters, const std::string& label, MetricWriter& writer) {
  writer.counters("uvmm_vsock_packets_total", "Packets, as the guest sees them.", label,
                  {{"received", counters.received_packets},
                   {"sent", counters.sent_packets},
                   {"sent_dropped", counters.sent_drops}});
  writer.counters("uvmm_vsock_bytes_total", "Bytes that these packets carried.", label,
                  {{"received", counters.received_bytes}, {"sent", counters.sent_bytes}});
}

void add_machine_metrics(Machine::Parts& parts) {
  parts.metrics.add([&parts](MetricWriter& writer) {
    add_faults(parts.memory->space().statistics(), writer);
    add_memory(parts, writer);
    add_pins(parts.memory->space().pin_statistics(), writer);
    add_exits(parts.exits->counts(), writer);
    add_disks(parts, writer);
    add_timing(parts.timings.images, "image_pauses", writer);
    add_timing(parts.timings.checkpoints, "checkpoints", writer);
    add_timing(parts.timings.resets, "resets", writer);
  });
}

std::string counters_json(Machine::Parts& parts) {
  uvm::Space& space = parts.memory->space();
  const uvm::Residency residency = residency_of(space);
  const auto exits = parts.exits->counts().sums();
  const std::array<std::pair<const char*, std::uint64_t>, 7> numbers = {{
      {"resident", residency.resident},
      {"private", residency.priv},
      {"shared", residency.shared},
      {"swapped", space.reclaim_statistics().swapped},
      {"wired", space.pin_statistics().bytes},
      {"faults", space.statistics().faults},
      {"exits", std::accumulate(exits.begin(), exits.end(), std::uint64_t{0})},
  }};
  std::string text;
  for (const auto& [name, value] : numbers) {
    text += (text.empty() ? "\"" : ", \"") + std::string(name) + "\": " + std::to_string(value);
  }
  return text;
}

}  // namespace vmm
